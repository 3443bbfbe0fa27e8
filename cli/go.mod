module github.com/firstcome/firstcome/cli

go 1.26

require (
	github.com/firstcome/firstcome/internal v0.0.0
	github.com/firstcome/firstcome/pkg v0.0.0
	github.com/firstcome/firstcome/pkg/coupontest v0.0.0
	github.com/firstcome/firstcome/services/gateway v0.0.0
	github.com/firstcome/firstcome/services/issuer v0.0.0
	github.com/firstcome/firstcome/services/ledger v0.0.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/prometheus/client_golang v1.25.0
	github.com/redis/go-redis/v9 v9.23.0
	github.com/schollz/progressbar/v3 v3.19.1
	github.com/spf13/cobra v1.10.2
	golang.org/x/sync v0.24.0
)

replace (
	github.com/firstcome/firstcome/internal => ../internal
	github.com/firstcome/firstcome/pkg => ../pkg
	github.com/firstcome/firstcome/pkg/coupontest => ../pkg/coupontest
	github.com/firstcome/firstcome/services/gateway => ../services/gateway
	github.com/firstcome/firstcome/services/issuer => ../services/issuer
	github.com/firstcome/firstcome/services/ledger => ../services/ledger
)
