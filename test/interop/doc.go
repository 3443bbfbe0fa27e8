// Package interop lets the programs of examples/python and examples/java, with their own Kafka and CloudEvents libraries, write
// requests and read the journal of a running pipeline, and compares what they saw with what Firstcome itself knows.
//
// Its tests need python3 with venv and PyPI, a JDK, Maven and Maven Central the first time; they are built with the tag interop
// only (make test-interop).
package interop
