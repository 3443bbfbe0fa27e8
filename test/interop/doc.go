// Package interop lets programs that are no part of Firstcome, in another language and with their own Kafka and
// CloudEvents libraries, write requests and read the journal of a running issuer.
//
// Its tests need python3 with venv, and PyPI the first time; they are built with the tag interop only (make test-interop).
package interop
