package letter

import (
	"testing"

	"github.com/firstcome/firstcome/pkg/coupontest"
)

func TestMain(m *testing.M) { coupontest.Main(m) }
