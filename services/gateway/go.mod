module github.com/firstcome/firstcome/services/gateway

go 1.26
