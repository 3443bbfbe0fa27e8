package ledger

import (
	_ "embed"
	"net/http"

	"github.com/firstcome/firstcome/internal/openapi"
)

// openAPI describes the whole public side, in OpenAPI 3.1. It is written by hand; the tests hold every exchange that they
// have with the API against it.
//
//go:embed openapi.json
var openAPI []byte

var document = openapi.New(openAPI)

func getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	document.WriteJSON(w)
	return nil
}

func getDocs(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	document.WritePage(w)
	return nil
}
