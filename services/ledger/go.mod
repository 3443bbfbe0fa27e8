module github.com/firstcome/firstcome/services/ledger

go 1.26
