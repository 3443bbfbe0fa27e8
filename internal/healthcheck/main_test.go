package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"waits_for":["Postgres"]}`)
	}))
	defer server.Close()
	if err := check(server.URL); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	if err := check(server.URL); err == nil || !strings.Contains(err.Error(), "Postgres") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if err := check(server.URL); err == nil {
		t.Error("nobody is there, and it is well")
	}
}
