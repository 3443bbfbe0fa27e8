package schema_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/event/schema"
)

func TestValue(t *testing.T) {
	for _, c := range []struct {
		topic, eventType, id string // "": none
	}{
		{"coupon.requests", event.TypeClaimRequested, "coupon.requests/claim.requested.json"},
		{"it-7.coupon.requests", event.TypeCouponDefined, "coupon.requests/coupon.defined.json"},
		{"coupon.grants", event.TypeCouponDefined, "coupon.grants/coupon.defined.json"},
		{"coupon.grants", event.TypeCouponGranted, "coupon.grants/coupon.granted.json"},
		{"coupon.requests", event.TypeCouponGranted, ""},
		{"coupon.grants", event.TypeClaimRequested, ""},
		{"coupon.dead-letters", event.TypeClaimRequested, ""},
		{"orders", event.TypeCouponGranted, ""},
		{"coupon.grants", "coupon.granted", ""},
		{"coupon.grants", "firstcome.headers", ""},
		{"coupon.grants", "firstcome.headers/../coupon.granted", ""},
	} {
		checkID(t, schema.Value(c.topic, c.eventType), c.id)
	}
}

func TestHeaders(t *testing.T) {
	for topic, id := range map[string]string{
		"coupon.requests":          "coupon.requests/headers.json",
		"coupon.grants":            "coupon.grants/headers.json",
		"it-7.coupon.dead-letters": "coupon.dead-letters/headers.json",
		"orders":                   "",
	} {
		checkID(t, schema.Headers(topic), id)
	}
}

func checkID(t *testing.T, text []byte, want string) {
	t.Helper()
	if want == "" {
		if text != nil {
			t.Errorf("got %.100s, want nil", text)
		}
		return
	}
	var s struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal(text, &s); err != nil || s.ID != "https://firstcome.dev/schema/"+want {
		t.Errorf("got %q, %v; want %q", s.ID, err, want)
	}
}

// Each file says by its $id where it lies, so that references between them hold wherever they are copied to.
func TestFS(t *testing.T) {
	found := 0
	err := fs.WalkDir(schema.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(schema.FS(), path)
		checkID(t, text, path)
		if found++; !strings.HasSuffix(path, ".json") {
			t.Errorf("%s is no schema", path)
		}
		return err
	})
	if err != nil || found != 7 {
		t.Errorf("%d schemas, want 7: %v", found, err)
	}
}
