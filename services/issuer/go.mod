module github.com/firstcome/firstcome/services/issuer

go 1.26
