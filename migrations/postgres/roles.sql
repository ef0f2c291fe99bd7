-- The two roles of payrecond and their rights, set anew after every migration. Run by the owner of
-- the schema; a role that it may not create is left out, and `payrecond migrate` prints what is missing.
--
-- payrecond_daemon: what the daemon may write. It owns nothing, so it cannot drop its own guards.
-- payrecond_app:    what a program may write; granted to the users of your programs.

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['payrecond_daemon', 'payrecond_app'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name)
           AND (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another migration on this server was faster
            END;
        END IF;
    END LOOP;

    -- Programs that have a role of their own see what there is by the grants alone.
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'payrecond_daemon') THEN
        GRANT USAGE ON SCHEMA payrecond TO payrecond_daemon;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA payrecond TO payrecond_daemon;
        REVOKE UPDATE ON payrecond.outbox FROM payrecond_daemon;
        REVOKE INSERT, UPDATE, DELETE ON payrecond.used_keys FROM payrecond_daemon;
        REVOKE DELETE ON payrecond.meta FROM payrecond_daemon;
        GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA payrecond TO payrecond_daemon;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA payrecond TO payrecond_daemon;
    END IF;

    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'payrecond_app') THEN
        GRANT USAGE ON SCHEMA payrecond TO payrecond_app;
        GRANT SELECT ON ALL TABLES IN SCHEMA payrecond TO payrecond_app;
        GRANT INSERT (account, external_id, order_id, amount, currency, status, description,
                      timeout_seconds, options, metadata) ON payrecond.invoices TO payrecond_app;
        GRANT UPDATE (metadata, next_poll_at), DELETE ON payrecond.invoices TO payrecond_app;
        GRANT INSERT (name, acked_seq), UPDATE (acked_seq), DELETE ON payrecond.consumers TO payrecond_app;
    END IF;
END $$;
