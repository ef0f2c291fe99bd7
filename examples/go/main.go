// go run . payrecond.db ORD-1      in examples/go; Go 1.19 or newer and a C compiler
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

const shopSchema = `
CREATE TABLE IF NOT EXISTS credited (event_id TEXT PRIMARY KEY, external_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL);`

// The same statement again, after a restart say, changes nothing.
const dropInvoice = `
INSERT OR IGNORE INTO invoices (external_id, amount, currency, description, options, metadata)
VALUES (?, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"customer": "42", "eggs": 6}')`

const unread = `
SELECT seq, event_id, type, coalesce(external_id, ''), payload
  FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT 100`

type event struct {
	seq                           int64
	id, kind, externalID, payload string
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: bot DATABASE EXTERNAL_ID")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(path, externalID string) error {
	db, err := open(path, "PRAGMA wal_autocheckpoint = 0") // the daemon checkpoints
	if err != nil {
		return err
	}
	defer db.Close()
	shop, err := open("shop.db", shopSchema) // your own database
	if err != nil {
		return err
	}
	defer shop.Close()
	if _, err := db.Exec("INSERT OR IGNORE INTO consumers (name) VALUES ('bot')"); err != nil {
		return err
	}
	if _, err := db.Exec(dropInvoice, externalID); err != nil {
		return err
	}
	return wait(db, shop, externalID)
}

func wait(db, shop *sql.DB, externalID string) error {
	shownLink := ""
	for {
		var credited bool
		row := shop.QueryRow("SELECT EXISTS (SELECT 1 FROM credited WHERE external_id = ?)", externalID)
		if err := row.Scan(&credited); err != nil {
			return err
		}
		if credited {
			fmt.Println("credited", externalID)
			return nil
		}
		if err := takeEvents(db, shop); err != nil {
			return err
		}
		var status, reason, link string
		row = db.QueryRow(`SELECT status, coalesce(reason, ''), coalesce(pay_link, '')
			FROM invoices WHERE external_id = ?`, externalID)
		if err := row.Scan(&status, &reason, &link); err != nil {
			return err
		}
		if link != shownLink {
			fmt.Println("pay here:", link)
			shownLink = link
		}
		if status == "rejected" {
			return fmt.Errorf("%s is rejected: %s", externalID, reason)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// open gives a pool of one connection, so that a PRAGMA holds for every statement. Each transaction
// is BEGIN IMMEDIATE.
func open(path, setUp string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(setUp)
	return db, err
}

func takeEvents(db, shop *sql.DB) error {
	events, err := read(db)
	if err != nil {
		return err
	}
	for _, e := range events {
		fmt.Println(e.kind, e.externalID)
		if e.kind == "payment.paid" {
			if err := credit(shop, e); err != nil {
				return err
			}
		}
		// After the credit is committed, never before.
		if _, err := db.Exec("UPDATE consumers SET acked_seq = ? WHERE name = 'bot'", e.seq); err != nil {
			return err
		}
	}
	return nil
}

// read takes all rows and closes the cursor: an open SELECT keeps the database's log from being emptied.
func read(db *sql.DB) ([]event, error) {
	rows, err := db.Query(unread)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []event
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.seq, &e.id, &e.kind, &e.externalID, &e.payload); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

// credit writes the event's id and what it gives together or not at all; a known id gives nothing.
func credit(shop *sql.DB, e event) error {
	var payload struct {
		Data struct {
			Metadata struct {
				Customer string
				Eggs     int64
			}
		}
	}
	if err := json.Unmarshal([]byte(e.payload), &payload); err != nil {
		return err
	}
	order := payload.Data.Metadata
	if order.Customer == "" {
		return nil // somebody else's invoice
	}
	tx, err := shop.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	remembered, err := tx.Exec("INSERT OR IGNORE INTO credited VALUES (?, ?)", e.id, e.externalID)
	if err != nil {
		return err
	}
	if fresh, err := remembered.RowsAffected(); err != nil || fresh == 0 {
		return err
	}
	_, err = tx.Exec(`INSERT INTO customers VALUES (?, ?)
		ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs`, order.Customer, order.Eggs)
	if err != nil {
		return err
	}
	return tx.Commit()
}
