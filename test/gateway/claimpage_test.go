package gateway_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dop251/goja"

	"github.com/firstcome/firstcome/services/gateway"
)

// browser runs the script of docs/claim.html as one does, with what it uses of a browser's: fetch, EventSource, setTimeout,
// crypto.randomUUID and two elements. Requests go to a gateway the second way that docs/api.md tells: the shop's own server
// adds user_id and its claim token.
type browser struct {
	w         *world
	vm        *goja.Runtime
	user      string
	token     string      // of the person, if the page has one
	gateway   string      // where the next request goes
	coupon    string      // that the shop's server asks for, where the page says tea
	tasks     chan func() // what is to be done in the script's own thread
	said      string      // what the page shows
	click     goja.Callable
	keys      []string        // of the claims that were sent
	waits     []time.Duration // that were asked for, and not waited
	listening int             // streams that are open
}

func openPage(w *world, user, token string) *browser {
	b := &browser{w: w, vm: goja.New(), user: user, token: token, coupon: "tea", gateway: w.gateways[0].Addr().String(), tasks: make(chan func(), 100)}
	b.vm.SetFieldNameMapper(goja.UncapFieldNameMapper())
	page, err := os.ReadFile(filepath.Join(docs, "claim.html"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(page), "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	for name, value := range map[string]any{
		"sessionStorage": map[string]any{"getItem": b.item},
		"crypto":         map[string]any{"randomUUID": func() string { return user + "-" + strconv.Itoa(len(b.keys)) }},
		"document":       map[string]any{"querySelector": b.querySelector},
		"setTimeout":     b.setTimeout,
		"fetch":          b.fetch,
		"EventSource":    b.eventSource,
	} {
		if err := b.vm.Set(name, value); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := b.vm.RunString("'use strict';" + script); err != nil {
		w.t.Fatalf("docs/claim.html: %v", err)
	}
	return b
}

// item is what sessionStorage has.
func (b *browser) item(name string) any {
	if name == "token" && b.token != "" {
		return b.token
	}
	return nil
}

func (b *browser) querySelector(name string) *goja.Object {
	element := b.vm.NewObject()
	set := map[string]func(goja.Value){
		"output": func(v goja.Value) { b.said = v.String() },
		"button": func(v goja.Value) { b.click, _ = goja.AssertFunction(v) },
	}[name]
	property := map[string]string{"output": "textContent", "button": "onclick"}[name]
	setter := b.vm.ToValue(func(call goja.FunctionCall) goja.Value { set(call.Argument(0)); return goja.Undefined() })
	if err := element.DefineAccessorProperty(property, nil, setter, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		b.w.t.Fatal(err)
	}
	return element
}

func (b *browser) setTimeout(call goja.FunctionCall) goja.Value {
	b.waits = append(b.waits, time.Duration(call.Argument(1).ToFloat()*float64(time.Millisecond)))
	f, _ := goja.AssertFunction(call.Argument(0))
	b.tasks <- func() { b.call(f, call.Arguments[2:]...) }
	return goja.Undefined()
}

func (b *browser) call(f goja.Callable, arguments ...goja.Value) {
	if _, err := f(goja.Undefined(), arguments...); err != nil {
		b.w.t.Errorf("docs/claim.html: %v", err)
	}
}

// fetch is the shop's server, too.
func (b *browser) fetch(path string, options struct {
	Method, Body string
	Headers      map[string]string
}) *goja.Promise {
	promise, resolve, _ := b.vm.NewPromise()
	if options.Body != "{}" {
		b.w.t.Errorf("the page sends %s", options.Body)
	}
	path = strings.Replace(path, "/tea/", "/"+b.coupon+"/", 1)
	body, err := json.Marshal(map[string]string{"user_id": b.user})
	if err != nil {
		b.w.t.Fatal(err)
	}
	r, err := http.NewRequest(options.Method, "http://"+b.gateway+path, strings.NewReader(string(body)))
	if err != nil {
		b.w.t.Fatal(err)
	}
	for name, value := range options.Headers {
		r.Header.Set(name, value)
	}
	if got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); got != b.token {
		b.w.t.Errorf("the page sends the token %q, want %q", got, b.token)
	}
	r.Header.Set("Authorization", "Bearer "+shop)
	b.keys = append(b.keys, r.Header.Get("Idempotency-Key"))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	b.tasks <- func() {
		_ = resolve(map[string]any{
			"status": res.StatusCode,
			"headers": map[string]any{"get": func(name string) any {
				if v := res.Header.Get(name); v != "" {
					return v
				}
				return nil
			}},
			"json": func() (v any, err error) { err = json.Unmarshal(text, &v); return v, err },
		})
	}
	return promise
}

// eventSource reads a stream to its end, or until the page closes it.
func (b *browser) eventSource(call goja.ConstructorCall) *goja.Object {
	listeners, open := map[string]goja.Callable{}, true
	b.listening++
	_ = call.This.Set("readyState", 0)
	_ = call.This.Set("addEventListener", func(event string, f goja.Callable) { listeners[event] = f })
	_ = call.This.Set("close", func() {
		if open {
			open = false
			b.listening--
		}
	})
	r, err := http.NewRequest(http.MethodGet, "http://"+b.gateway+call.Argument(0).String(), nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			b.w.t.Error(err)
			return
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK { // a browser gives up then
			b.tasks <- func() {
				b.listening--
				_ = call.This.Set("readyState", 2)
				if f, ok := goja.AssertFunction(call.This.Get("onerror")); ok {
					b.call(f)
				}
			}
			return
		}
		event := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			if name == "event" {
				event = value
			}
			if name == "data" {
				of := event // the next one may be read before this is told
				b.tasks <- func() {
					if f := listeners[of]; open && f != nil {
						b.call(f, b.vm.ToValue(map[string]any{"data": value}))
					}
				}
			}
		}
	}()
	return nil
}

// shows lets the script run until the page says something.
func (b *browser) shows(want string) {
	b.w.t.Helper()
	for late := time.After(soon); b.said != want; {
		select {
		case task := <-b.tasks:
			task()
			_, _ = b.vm.RunString("") // what has been promised
		case <-late:
			b.w.t.Fatalf("the page shows %q, want %q", b.said, want)
		}
	}
}

// The page of docs/api.md claims, waits, follows its claim, and says how it ended; turned away, it comes again with the
// same key, when it was told to.
func TestClaimPage(t *testing.T) {
	t.Parallel()
	s := &scribe{world: newWorld(t, 1)}
	s.want(put("tea", `{"limit":1}`), 201, "")

	ada := openPage(s.world, "ada", "")
	ada.gateway = s.start(startingGateway)
	ada.call(ada.click)
	ada.shows("One moment, please.")
	ada.gateway = s.gateways[0].Addr().String()
	ada.shows("Yours: number 1.")
	if len(ada.keys) != 2 || ada.keys[0] == "" || ada.keys[1] != ada.keys[0] {
		t.Errorf("turned away, the page asks with the keys %q: the second must be the first", ada.keys)
	}
	if len(ada.waits) != 1 || ada.waits[0] < time.Second || ada.waits[0] > 2*time.Second {
		t.Errorf("told to wait 1 s, it waits %v: want up to twice as long, by chance", ada.waits)
	}
	ada.said = ""
	ada.call(ada.click) // another claim, which is told the first one's id
	ada.shows("Yours: number 1.")
	if ada.keys[2] == ada.keys[1] {
		t.Error("another click has the key of the one before")
	}
	if ada.listening != 0 {
		t.Errorf("%d streams are left open: a browser would connect again", ada.listening)
	}
	s.endGuards()
	ada.call(ada.click)
	ada.shows("You have it already.")

	bob := openPage(s.world, "bob", "bob's JWT")
	bob.call(bob.click)
	bob.shows("Sold out.")
	for id, c := range map[string]struct{ definition, shows string }{
		"later": {`{"limit":1,"opens_at":"2099-01-01T00:00:00Z"}`, "Not open yet."},
		"over":  {`{"limit":1,"closes_at":"2026-01-31T15:00:00Z"}`, "This offer has ended."},
	} {
		s.want(put(id, c.definition), 201, "")
		b := openPage(s.world, "cem", "")
		b.coupon = id
		b.call(b.click)
		b.shows(c.shows)
	}
	// What stands before the gateway fails once, and the gateway has no place for the stream at first.
	emil := openPage(s.world, "emil", "")
	emil.gateway = failing(t, emil.gateway)
	s.want(put("coffee", `{"limit":1}`), 201, "")
	emil.coupon = "coffee"
	emil.call(emil.click)
	emil.shows("One moment, please.")
	emil.shows("Yours: number 1.")
	if len(emil.waits) != 2 || emil.waits[1] < time.Second || emil.waits[1] > 2*time.Second {
		t.Errorf("turned away twice, the page waits %v", emil.waits)
	}
	if emil.listening != 0 {
		t.Errorf("%d streams are left open", emil.listening)
	}

	// A gateway whose clock is far ahead lets the claim in, and the log refuses it: the stream says so.
	dora := openPage(s.world, "dora", "")
	dora.coupon, dora.gateway = "later", s.start(func(c *gateway.Config) {
		c.Now = func() time.Time { return time.Date(2099, 6, 1, 0, 0, 0, 0, time.UTC) }
	})
	dora.call(dora.click)
	dora.shows("Not open yet.")
}

// failing stands before a gateway: the first claim is lost on the way, and the first stream is turned away.
func failing(t *testing.T, gateway string) (addr string) {
	var claims, streams atomic.Int64
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: gateway})
	forward.FlushInterval = -1
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && claims.Add(1) == 1:
			http.Error(w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
		case r.Method == http.MethodGet && streams.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}
