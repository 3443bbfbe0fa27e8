-- KEYS  progress, outbox
-- Gives both as they are at one moment.
return { redis.call('GET', KEYS[1]) or '', redis.call('LRANGE', KEYS[2], 0, -1) }
