package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// said is one thing that a stream said: an event, or a comment.
type said struct {
	event, id, data string
	retry           string
	comment         bool
}

// listener is somebody who reads a stream.
type listener struct {
	t      testing.TB
	header http.Header
	status int
	text   string // of an answer that is no stream
	said   chan said
	leave  context.CancelFunc
}

// tuneIn asks for a stream; the test's end leaves it.
func tuneIn(t testing.TB, s *Service, path string, header http.Header) *listener {
	t.Helper()
	return tuneInBy(t, http.DefaultClient, "http://"+s.Addr().String()+path, header)
}

func tuneInBy(t testing.TB, client *http.Client, url string, header http.Header) *listener {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Accept": {"text/event-stream"}}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, header: res.Header, status: res.StatusCode, said: make(chan said, 1000), leave: leave}
	done := make(chan struct{})
	t.Cleanup(func() { leave(); <-done })
	if res.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		l.text = string(text)
		close(l.said)
		close(done)
		return l
	}
	go func() {
		defer close(done)
		defer res.Body.Close()
		readEvents(t, res.Body, l.said)
	}()
	return l
}

// readEvents is as strict as no browser: fields that nobody sends are an error.
func readEvents(t testing.TB, r io.Reader, to chan<- said) {
	defer close(to)
	var now said
	lines := bufio.NewScanner(r)
	for lines.Buffer(nil, 2<<20); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			to <- now
			now = said{}
		case name == "":
			now.comment = true
		case name == "event" && now.event == "":
			now.event = value
		case name == "id" && now.id == "":
			now.id = value
		case name == "data" && now.data == "":
			now.data = value
		case name == "retry" && now.retry == "":
			now.retry = value
		default:
			t.Errorf("a stream with the line %q", lines.Text())
		}
	}
}

// Next is the next event; over: the stream has ended instead. Comments are passed over.
func (l *listener) Next() (e said, over bool) {
	l.t.Helper()
	for {
		select {
		case e, open := <-l.said:
			if !open {
				return said{}, true
			}
			if e.event != "" {
				return e, false
			}
		case <-time.After(soon):
			l.t.Fatal("waited in vain for an event")
		}
	}
}

// Until gives the first event whose data contains a text.
func (l *listener) Until(text string) said {
	l.t.Helper()
	for {
		e, over := l.Next()
		if over {
			l.t.Fatalf("the stream ended before %s", text)
		}
		if strings.Contains(e.data, text) {
			return e
		}
	}
}

// End fails unless the stream ends without another event.
func (l *listener) End() {
	l.t.Helper()
	if e, over := l.Next(); !over {
		l.t.Errorf("instead of its end, the stream says %+v", e)
	}
}

// tape is a ResponseWriter that notes what was written when, on the clock of a bubble.
type tape struct {
	began  time.Time
	header http.Header
	events []string // "seconds: what"
}

func newTape() *tape { return &tape{began: time.Now(), header: http.Header{}} }

func (w *tape) Header() http.Header { return w.header }
func (w *tape) WriteHeader(int)     {}
func (w *tape) Flush()              {}
func (w *tape) Write(b []byte) (int, error) {
	for part := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n\n"), "\n\n") {
		w.events = append(w.events, fmt.Sprintf("%g: %s", time.Since(w.began).Seconds(), strings.ReplaceAll(part, "\n", " ")))
	}
	return len(b), nil
}

func pumpOnTape(ctx context.Context, woken <-chan struct{}, news func(bool) ([]message, bool)) (*tape, error) {
	w := newTape()
	stream := &eventStream{w: w, control: http.NewResponseController(w), dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})}
	return w, stream.Pump(ctx, woken, news)
}

func (w *tape) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.events, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(w.events, "\n"), strings.Join(want, "\n"))
	}
}

func one(data string) []message { return []message{{event: "e", data: []byte(data)}} }

// News come at once, and then at most once a second; a wake-up is not lost meanwhile.
func TestEventStream_Pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := make(chan struct{}, 1)
		wakeAt := func(after time.Duration) { time.AfterFunc(after, func() { wake(woken) }) }
		for _, after := range []time.Duration{100, 500, 900, 2300, 2400, 7700} {
			wakeAt(after * time.Millisecond)
		}
		var n, hits int
		w, err := pumpOnTape(t.Context(), woken, func(hit bool) ([]message, bool) {
			if hit {
				hits++
			}
			if n == 0 || hit {
				n++
				return one(fmt.Sprint(n)), n == 5
			}
			return nil, false
		})
		if err != nil || hits != 4 {
			t.Errorf("%v, woken %d times", err, hits)
		}
		w.want(t, "0: retry: 1000", "0: event: e data: 1", "1: event: e data: 2", "2.3: event: e data: 3", "3.3: event: e data: 4", "7.7: event: e data: 5")
	})
}

// What somebody is woken for comes before what could be said besides.
func TestEventStream_WokenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := make(chan struct{}, 1)
		time.AfterFunc(time.Second/2, func() { wake(woken) })
		w, err := pumpOnTape(t.Context(), woken, func(hit bool) ([]message, bool) {
			if hit {
				return one("answer"), true
			}
			return one("position"), false
		})
		if err != nil {
			t.Error(err)
		}
		w.want(t, "0: retry: 1000", "0: event: e data: position", "1: event: e data: answer")
	})
}

// Without news there is a comment each 15 s.
func TestEventStream_Heartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Millisecond)
		defer cancel()
		asked := 0
		w, err := pumpOnTape(ctx, nil, func(bool) ([]message, bool) {
			if asked++; asked == 21 {
				return one("late"), false
			}
			return nil, false
		})
		if err != context.DeadlineExceeded || asked != 60 {
			t.Errorf("%v, asked %d times", err, asked)
		}
		w.want(t, "0: retry: 1000", "15: :", "20: event: e data: late", "35: :", "50: :")
	})
}

func TestMessage_Many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []message
		want := []string{"0: retry: 1000"}
		for i := range 1000 {
			data := fmt.Sprint(i, strings.Repeat("x", 300))
			many = append(many, message{event: "coupon", id: "i", data: []byte(data)})
			want = append(want, "0: event: coupon id: i data: "+data)
		}
		w, err := pumpOnTape(t.Context(), nil, func(bool) ([]message, bool) { return many, true })
		if err != nil {
			t.Error(err)
		}
		w.want(t, want...)
	})
}
