module github.com/firstcome/firstcome/internal

go 1.26
