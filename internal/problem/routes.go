package problem

import (
	"net/http"
	"strings"
)

// Routes serves mux, and answers what it has no route for with the problems not-found and method-not-allowed instead of
// its plain text.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var probe statusProbe
		h.ServeHTTP(&probe, r)
		if probe.code != http.StatusMethodNotAllowed {
			Write(w, r, New(NotFound, ""))
			return
		}
		allow := probe.Header().Get("Allow")
		w.Header().Set("Allow", allow)
		Write(w, r, New(MethodNotAllowed, "allowed here: "+strings.TrimSpace(allow)))
	})
}

// statusProbe takes the mux's own answer, to learn what it is.
type statusProbe struct {
	header http.Header
	code   int
}

func (p *statusProbe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *statusProbe) WriteHeader(code int) { p.code = code }

func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
