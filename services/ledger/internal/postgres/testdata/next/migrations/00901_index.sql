-- +goose NO TRANSACTION
-- +goose Up

-- Such as a later version may bring: an index of a table that has rows and is being written. What a killed migration left of
-- it is there and useless, so it is made anew.
DROP INDEX CONCURRENTLY IF EXISTS grants_log_time;
CREATE INDEX CONCURRENTLY grants_log_time ON grants (log_time);

-- +goose Down
DROP INDEX grants_log_time;
