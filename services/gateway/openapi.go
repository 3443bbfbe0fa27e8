package gateway

import (
	_ "embed"
	"net/http"

	"github.com/firstcome/firstcome/internal/openapi"
)

// openAPI describes the whole public side, in OpenAPI 3.1. It is written by hand; the tests hold every exchange that they
// have with a gateway against it.
//
//go:embed openapi.json
var openAPI []byte

var document = openapi.New(openAPI)

func (s *Service) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	document.WriteJSON(w)
	return nil
}

func (s *Service) getDocs(w http.ResponseWriter, _ *http.Request) error {
	document.WritePage(w)
	return nil
}
