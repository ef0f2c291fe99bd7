INSERT INTO invoices (external_id, order_id, amount, currency, metadata)
VALUES ('P', '100', '1.00', 'USD', '{"chat":1}');
INSERT INTO invoices (external_id, amount, currency, description)
VALUES ('R', '1.00', 'USD', 'Six eggs');
INSERT INTO invoices (external_id, order_id) VALUES ('E', '102'), ('X', '103'), ('C', '104'), ('PAID', '105');
INSERT INTO invoices (external_id, amount, currency, description)
VALUES ('REJ', '1.00', 'USD', 'Six eggs');
INSERT INTO invoices (external_id, order_id) VALUES ('REV', '107');
INSERT INTO invoices (external_id, amount, currency, description)
VALUES ('SENT', '1.00', 'USD', 'Six eggs');
INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '109');
INSERT INTO invoices (account, external_id, order_id) VALUES ('second', 'P', '100');
INSERT INTO consumers (name) VALUES ('bot'), ('idle');
INSERT INTO accounts (name, provider) VALUES ('default', 'walletpay'), ('second', 'walletpay');
