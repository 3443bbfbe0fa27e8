package chaos

import (
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	got := table([]result{
		{Kind: "Kafka killed", Claims: 100, Down: 2 * time.Second, Recovery: 3 * time.Second},
		{Kind: "leader killed", Claims: 7},
		{Kind: "Kafka killed", Claims: 50, Recovery: 4 * time.Second, Differences: 6, breaches: breaches{1, 2, 3, 4, 5, 7}},
		{Kind: "gateway killed", Claims: 10, Recovery: 1500 * time.Millisecond},
		{Kind: "Kafka killed", Claims: 1, Recovery: 5 * time.Second, breaches: breaches{Over: 1}},
	})
	want := `| fault | rounds | claims | over-issue | under-issue | duplicates | out of order | lost | contradicted | audit | down p50 | max | recovery p50 | max |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| gateway killed | 1 | 10 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1.5 s | 1.5 s |
| Kafka killed | 3 | 151 | 2 | 2 | 3 | 4 | 5 | 7 | 6 | 0 | 2.0 s | 4.0 s | 5.0 s |
| leader killed | 1 | 7 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
| **all** | 5 | 168 | 2 | 2 | 3 | 4 | 5 | 7 | 6 | 0 | 2.0 s | 3.0 s | 5.0 s |
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !(result{Claims: 1}).ok() || (result{Differences: 1}).ok() || (result{breaches: breaches{Lost: 1}}).ok() {
		t.Error("a round is good where it is not, or not where it is")
	}
}

func TestFigures(t *testing.T) {
	const want = "| what | wanted | measured |\n|---|---|---|\n| rebuilt within | 3 s | 1.2 s |\n| differences | 0 | 0 |\n"
	if got := figures(figure{"rebuilt within", "3 s", "1.2 s"}, figure{"differences", "0", "0"}); got != want {
		t.Errorf("got\n%s", got)
	}
}
