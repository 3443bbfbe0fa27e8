package ledger

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/firstcome/firstcome/pkg/event"
)

var csvFile = file{".csv", "text/csv; charset=utf-8; header=present", newCSV}

var csvColumns = []string{"grant_id", "coupon_id", "user_id", "window", "sequence", "limit", "requested_at", "log_time", "source_partition", "source_offset"}

// table is a CSV file with a header.
type table struct{ *csv.Writer }

func newCSV(w io.Writer) rowWriter {
	t := table{csv.NewWriter(w)}
	_ = t.Write(csvColumns) // into its buffer: Flush tells what becomes of it
	return t
}

func (t table) Row(g event.CouponGranted) error { return t.Write(csvRow(g)) }

func (t table) Flush() error {
	t.Writer.Flush()
	return t.Error()
}

func csvRow(g event.CouponGranted) []string {
	return []string{g.GrantID, cell(g.CouponID), cell(g.UserID), g.Window, strconv.FormatInt(g.Sequence, 10), strconv.FormatInt(g.Limit, 10),
		instant(g.RequestedAt).String(), instant(g.LogTime).String(), strconv.Itoa(int(g.Source.Partition)), strconv.FormatInt(g.Source.Offset, 10)}
}

// formula are the first characters that make a spreadsheet compute a cell, their full-width forms included.
const formula = "=+-@＝＋－＠"

// cell keeps spreadsheets from computing what a person chose as an id: an apostrophe goes in front, as it also does before
// a cell that begins with one itself, so that whoever takes one away from each such cell has the ids as they were.
func cell(s string) string {
	if s != "" && (s[0] == '\'' || strings.ContainsRune(formula, []rune(s)[0])) {
		return "'" + s
	}
	return s
}
