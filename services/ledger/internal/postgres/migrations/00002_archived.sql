-- +goose Up

-- What was archived: a window whose grants were exported to a file and dropped, in one transaction with this row. Its sums
-- stay in coupon_windows, and its coupon's definitions where they were.
CREATE TABLE archived (
    coupon_id          text COLLATE "C" NOT NULL,
    "window"           text COLLATE "C" NOT NULL,
    granted            bigint NOT NULL,         -- rows
    first_requested_at timestamptz(3) NOT NULL, -- of these rows
    last_requested_at  timestamptz(3) NOT NULL,
    checksum           bytea NOT NULL,          -- SHA-256 of the file's lines, unpacked: the values of the journal's records
    file               text NOT NULL,           -- its name, without a folder
    archived_at        timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (coupon_id, "window")
);

-- +goose Down
DROP TABLE archived;
