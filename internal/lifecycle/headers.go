package lifecycle

import "net/http"

// secure puts what browsers need to hear into every answer: it is what it says it is, no page, part of no page, and tells
// no other site where it came from. A handler that does serve a page says so itself, in Content-Security-Policy. What other
// origins' scripts may read is CORS' to say; same-origin keeps their pages from showing it as if it were an image.
func secure(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
