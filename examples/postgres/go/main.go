// go mod tidy && go run . postgresql://shop@localhost/shop ORD-1      in examples/postgres/go; Go 1.19 or newer,
// pgx 4; with pgx 5 only the import changes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v4"
)

// The search_path of the role is "shop, payrecond": your own tables first.
const setUp = `
CREATE TABLE IF NOT EXISTS shop_credited (event_id text PRIMARY KEY, external_id text NOT NULL);
CREATE TABLE IF NOT EXISTS shop_customers (id text PRIMARY KEY, eggs bigint NOT NULL);
INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING`

// The same statement again, after a restart say, changes nothing.
const insertInvoice = `
INSERT INTO invoices (external_id, amount, currency, description, options, metadata)
VALUES ($1, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"customer": "42", "eggs": 6}')
ON CONFLICT DO NOTHING`

const unread = `
SELECT seq, event_id, type, coalesce(external_id, ''), payload FROM outbox
 WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'bot') ORDER BY seq LIMIT 100`

type event struct {
	seq                           int64
	id, kind, externalID, payload string
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: bot URL EXTERNAL_ID")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, externalID string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, setUp); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, insertInvoice, externalID); err != nil {
		return err
	}
	shownLink := ""
	for {
		var credited bool
		row := db.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM shop_credited WHERE external_id = $1)", externalID)
		if err := row.Scan(&credited); err != nil {
			return err
		}
		if credited {
			fmt.Println("credited", externalID)
			return nil
		}
		if err := takeEvents(ctx, db); err != nil {
			return err
		}
		var status, reason, link string
		row = db.QueryRow(ctx, `SELECT status, coalesce(reason, ''), coalesce(pay_link, '')
			FROM invoices WHERE external_id = $1`, externalID)
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

func takeEvents(ctx context.Context, db *pgx.Conn) error {
	events, err := read(ctx, db)
	if err != nil {
		return err
	}
	for _, e := range events {
		fmt.Println(e.kind, e.externalID)
		if err := take(ctx, db, e); err != nil {
			return err
		}
	}
	return nil
}

func read(ctx context.Context, db *pgx.Conn) ([]event, error) {
	rows, err := db.Query(ctx, unread)
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

// take credits and acknowledges in one transaction: your tables are in the same database.
func take(ctx context.Context, db *pgx.Conn, e event) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) // after Commit it does nothing
	if e.kind == "payment.paid" {
		if err := credit(ctx, tx, e); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE consumers SET acked_seq = $1 WHERE name = 'bot'", e.seq); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// credit gives the eggs, unless this event was credited before.
func credit(ctx context.Context, tx pgx.Tx, e event) error {
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
	remembered, err := tx.Exec(ctx, "INSERT INTO shop_credited VALUES ($1, $2) ON CONFLICT DO NOTHING", e.id, e.externalID)
	if err != nil || remembered.RowsAffected() == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO shop_customers VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET eggs = shop_customers.eggs + excluded.eggs`, order.Customer, order.Eggs)
	return err
}
