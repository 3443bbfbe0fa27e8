-- +goose NO TRANSACTION
-- +goose Up

-- Such as a later version may bring: an index of a table that has rows and is being written.
CREATE INDEX CONCURRENTLY IF NOT EXISTS grants_log_time ON grants (log_time);

-- +goose Down
DROP INDEX grants_log_time;
