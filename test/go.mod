module github.com/firstcome/firstcome/test

go 1.26
