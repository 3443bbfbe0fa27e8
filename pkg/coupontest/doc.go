// Package coupontest gives tests a Kafka, a Redis and a Postgres, and Firstcome on them.
//
//	func TestTea(t *testing.T) {
//		t.Parallel()
//		p := coupontest.Pipeline(t)
//		p.Define(t, coupontest.Coupon("tea", 2))
//		p.Claim(t, "tea", "ada", "bob", "eve")
//		grants := p.Grants(t, "tea")
//		coupontest.RequireExactly(t, grants, "tea", 2)
//		coupontest.RequireLogOrder(t, grants, "tea", p.Requests(t, "tea"))
//	}
//
// Start gives the servers alone:
//
//	servers := coupontest.Start(t, coupontest.Kafka, coupontest.Redis)
//	servers.CreateTopics(t, 4)
//	// servers.Brokers, servers.TopicPrefix, servers.RedisAddr, servers.RedisPrefix, servers.Kafka(t)
//
// Each test binary has one server of each, started when a test first needs it; each test has a topic prefix, a Redis prefix
// and a database of its own, so tests run side by side. What a test made is dropped when it ends. A test that breaks
// servers asks for its own by StartAlone.
//
// The environment decides which servers, and the same tests run on each kind:
//
//	COUPONTEST_SERVERS=embedded    (default; with REQUIRE=containers the next) kfake and miniredis in the process, a real Postgres beside it
//	COUPONTEST_SERVERS=containers  apache/kafka:4.3.1, redis:8.0, postgres:17; fails where no engine answers
//	COUPONTEST_SERVERS=attach      those of KAFKA_BROKERS, REDIS_ADDR and DATABASE_URL (a role that may create databases)
//
// Those three variables alone change nothing: in many a shell they name servers that no test may write to.
//
// Nothing is left behind when the test binary panics, is killed or runs into its time-out: a process beside it, the
// reaper, sees it end and stops what it started; on attached servers a test that was killed leaves its topics, keys and
// database. Tests with a TestMain call Main there, which waits for the servers to end
// and says what went wrong with that; those that look for leaked goroutines, or run on Windows, need one.
package coupontest
