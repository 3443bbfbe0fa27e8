module github.com/firstcome/firstcome/cli

go 1.26.0

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

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/segmentio/kafka-go v0.4.51 // indirect
	github.com/xdg-go/pbkdf2 v1.0.0 // indirect
	github.com/xdg-go/scram v1.1.2 // indirect
	github.com/xdg-go/stringprep v1.0.4 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	github.com/firstcome/firstcome/internal => ../internal
	github.com/firstcome/firstcome/pkg => ../pkg
	github.com/firstcome/firstcome/pkg/coupontest => ../pkg/coupontest
	github.com/firstcome/firstcome/services/gateway => ../services/gateway
	github.com/firstcome/firstcome/services/issuer => ../services/issuer
	github.com/firstcome/firstcome/services/ledger => ../services/ledger
)
