module github.com/firstcome/firstcome/pkg

go 1.26
