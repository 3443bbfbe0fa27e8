package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Three coupons, five people who each follow their claim at another gateway than the one that took it, and a console.
func TestStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.want(put("tea", `{"limit":3}`), 201, "")
	console := w.stream("/v1/stream", admin)
	if first := <-console; !strings.Contains(first, `"coupon_id":"tea","limit":3,"granted":0`) {
		t.Errorf("the console begins with %s", first)
	}
	for i := 1; i <= 5; i++ {
		asked := claim("tea", fmt.Sprint("user-", i), "")
		a, err := w.do(asked)
		if err != nil {
			t.Fatal(err)
		}
		if i > 3 && a.Status == http.StatusConflict {
			continue // early: the gateway knew
		}
		if a.Status != http.StatusAccepted {
			t.Fatalf("person %d is answered %d %s", i, a.Status, a.Text)
		}
		last := ""
		for data := range w.stream("/v1/claims/"+a.ClaimID, "") {
			last = data
		}
		if plain := w.want(get("/v1/claims/"+a.ClaimID), 200, ""); last+"\n" != plain.Text || plain.State == "pending" {
			t.Errorf("person %d: the stream ends with %s, and GET says %s", i, last, plain.Text)
		}
		if want := fmt.Sprintf(`"sequence":%d`, i); i <= 3 && !strings.Contains(last, want) || i > 3 && !strings.Contains(last, "sold_out") {
			t.Errorf("person %d is told %s", i, last)
		}
	}
	for data := range console {
		if strings.Contains(data, `"granted":3,"remaining":0,"status":"sold_out"`) {
			return
		}
	}
	t.Error("the console never shows that all are gone")
}

// stream gives the data of the events that the second gateway sends, until the stream ends, the test does, or it takes too long.
func (w *world) stream(path, token string) <-chan string {
	w.t.Helper()
	ctx, leave := context.WithTimeout(context.Background(), soon)
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.gateways[1].Addr().String()+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s is answered %d", path, res.StatusCode)
	}
	data := make(chan string, 100)
	w.t.Cleanup(func() {
		leave()
		for range data { // until whoever reads it has gone
		}
	})
	go func() {
		defer close(data)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if line, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				data <- line
			}
		}
	}()
	return data
}
