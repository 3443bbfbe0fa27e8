-- +goose Up

-- How far each partition of the journal has been written. Every transaction of a ledger locks its row first and compares
-- it; a restored database carries its own, so a ledger begins again from there.
CREATE TABLE ledger_offsets (
    partition      integer PRIMARY KEY,
    next_offset    bigint NOT NULL,          -- of the journal
    highest_source bigint NOT NULL,          -- -1: none yet
    last_offset    bigint,                   -- of the last record taken, before next_offset; null: none yet
    last_time      timestamptz(3)            -- its Kafka timestamp: tells this journal from another one
) WITH (fillfactor = 50);                    -- updated in place, all day

-- Texts are compared byte by byte, as everywhere else in the system: C also makes the order of pages independent of the
-- database's locale and of its library's version.
CREATE TABLE definitions (
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    coupon_id        text COLLATE "C" NOT NULL,
    "limit"          bigint NOT NULL,
    "window"         text COLLATE "C" NOT NULL, -- none, daily
    time_zone        text COLLATE "C" NOT NULL,
    opens_at         timestamptz(3),
    closes_at        timestamptz(3),
    rules            integer NOT NULL,
    requested_at     timestamptz(3) NOT NULL,
    log_time         timestamptz(3) NOT NULL,
    PRIMARY KEY (source_partition, source_offset)
);
CREATE INDEX definitions_coupon ON definitions (coupon_id, source_offset);

-- The unique rules are the promises once more, in the store's own words. The person's begins with the person, so that
-- the same index also answers "what does this person have".
CREATE TABLE grants (
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    grant_id         uuid NOT NULL,
    coupon_id        text COLLATE "C" NOT NULL,
    user_id          text COLLATE "C" NOT NULL,
    "window"         text COLLATE "C" NOT NULL, -- '' or a day, 2026-11-22
    sequence         bigint NOT NULL,
    "limit"          bigint NOT NULL,
    requested_at     timestamptz(3) NOT NULL,
    log_time         timestamptz(3) NOT NULL,
    PRIMARY KEY (source_partition, source_offset),
    CONSTRAINT grants_person UNIQUE (user_id, coupon_id, "window"),
    CONSTRAINT grants_sequence UNIQUE (coupon_id, "window", sequence)
);

-- Sums over grants, written in the same transactions: a summary of a hundred million grants is one row.
CREATE TABLE coupon_windows (
    coupon_id          text COLLATE "C" NOT NULL,
    "window"           text COLLATE "C" NOT NULL,
    granted            bigint NOT NULL,
    first_requested_at timestamptz(3) NOT NULL,
    last_requested_at  timestamptz(3) NOT NULL,
    PRIMARY KEY (coupon_id, "window")
) WITH (fillfactor = 50);
CREATE INDEX coupon_windows_window ON coupon_windows ("window", coupon_id); -- one day of all coupons

-- +goose Down
DROP TABLE coupon_windows, grants, definitions, ledger_offsets;
