package postgres

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/firstcome/firstcome/pkg/event"
)

var (
	definitionColumns = []string{"source_partition", "source_offset", "coupon_id", "limit", "window", "time_zone", "opens_at", "closes_at", "rules", "requested_at", "log_time"}
	grantColumns      = []string{"source_partition", "source_offset", "grant_id", "coupon_id", "user_id", "window", "sequence", "limit", "requested_at", "log_time"}
)

func definitionRow(d event.CouponDefined) []any {
	return []any{d.Source.Partition, d.Source.Offset, d.CouponID, d.Limit, d.Window, d.TimeZone, nullable(d.OpensAt), nullable(d.ClosesAt), int32(d.Rules), d.RequestedAt, d.LogTime}
}

func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// grantRows gives a batch's grants to COPY one by one, in the same slice.
type grantRows struct {
	grants []event.CouponGranted
	row    []any
	err    error
}

func newGrantRows(grants []event.CouponGranted) *grantRows {
	return &grantRows{grants: grants, row: make([]any, len(grantColumns))}
}

func (r *grantRows) Next() bool {
	if r.err != nil || len(r.grants) == 0 {
		return false
	}
	g := &r.grants[0]
	r.grants = r.grants[1:]
	var id [16]byte
	if id, r.err = parseUUID(g.GrantID); r.err != nil {
		return false
	}
	r.row = append(r.row[:0], g.Source.Partition, g.Source.Offset, id, g.CouponID, g.UserID, g.Window, g.Sequence, g.Limit, g.RequestedAt, g.LogTime)
	return true
}

func (r *grantRows) Values() ([]any, error) { return r.row, nil }
func (r *grantRows) Err() error             { return r.err }

func parseUUID(s string) (id [16]byte, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("grant id %q is not a UUID", s)
	}
	var digits [32]byte
	n := copy(digits[:], s[:8])
	for _, part := range []string{s[9:13], s[14:18], s[19:23], s[24:]} {
		n += copy(digits[n:], part)
	}
	if _, err = hex.Decode(id[:], digits[:]); err != nil {
		return id, fmt.Errorf("grant id %q is not a UUID", s)
	}
	return id, nil
}

func formatUUID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
