module github.com/firstcome/firstcome/test

go 1.26.0

require github.com/firstcome/firstcome/pkg/coupontest v0.0.0

replace (
	github.com/firstcome/firstcome/internal => ../internal
	github.com/firstcome/firstcome/pkg => ../pkg
	github.com/firstcome/firstcome/pkg/coupontest => ../pkg/coupontest
	github.com/firstcome/firstcome/services/gateway => ../services/gateway
	github.com/firstcome/firstcome/services/issuer => ../services/issuer
	github.com/firstcome/firstcome/services/ledger => ../services/ledger
)
