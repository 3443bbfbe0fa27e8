module github.com/firstcome/firstcome/pkg/coupontest

go 1.26
