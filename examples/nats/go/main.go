// Credits each payment once, from the stream: go run . nats://127.0.0.1:4222 shop.db
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/nats-io/nats.go"
)

// Event is the part of a CloudEvent that a credit needs. Ids and money are strings: nothing is rounded.
type Event struct {
	ID      string `json:"id"`
	Subject string `json:"subject"` // the shop's id of the order
	Data    struct {
		Amount struct{ Value *string } `json:"amount"`
	} `json:"data"`
}

// credit reports whether this payment was not credited before. The event's id decides, for ever.
func credit(shop *sql.DB, event Event) (bool, error) {
	added, err := shop.Exec("INSERT INTO credits VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		event.ID, event.Subject, event.Data.Amount.Value)
	if err != nil {
		return false, err
	}
	rows, err := added.RowsAffected()
	return rows == 1, err
}

func take(shop *sql.DB, message *nats.Msg) error {
	var event Event
	if err := json.Unmarshal(message.Data, &event); err != nil {
		return message.Term() // not an event of payrecond
	}
	isNew, err := credit(shop, event)
	if err != nil {
		return err // not acknowledged: the event comes again
	}
	if isNew {
		fmt.Println("credited", event.Subject)
	} else {
		fmt.Println("known", event.Subject)
	}
	return message.Ack() // after the commit: killed before it, the event comes again and is known
}

func main() {
	shop, err := sql.Open("sqlite3", os.Args[2]+"?_busy_timeout=5000")
	check(err)
	_, err = shop.Exec("CREATE TABLE IF NOT EXISTS credits (event_id TEXT PRIMARY KEY, order_ref TEXT NOT NULL, amount TEXT)")
	check(err)
	server, err := nats.Connect(os.Args[1], nats.Name("shop"), nats.MaxReconnects(-1))
	check(err)
	stream, err := server.JetStream()
	check(err)
	payments, err := stream.PullSubscribe("payments.*.paid", "shop", nats.BindStream("PAYMENTS"))
	check(err)
	for {
		messages, err := payments.Fetch(100, nats.MaxWait(5*time.Second))
		if err != nil {
			time.Sleep(100 * time.Millisecond) // nothing new, or no server for now
		}
		for _, message := range messages {
			if err := take(shop, message); err != nil {
				log.Print(err)
			}
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
