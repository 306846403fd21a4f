"""The scripts by which cases change in Redis: each whole or not at all, and none in a bucket that does not reflect the log.

What lies in a bucket, P being its prefix (services.runtime.buckets):

    P:case:<case>        hash: state (canonical JSON), sequence
    P:begun:<message>    set: the names of the beginnings of a message that is not handled yet
    P:heard:<case>       hash: the messages that it has heard, by id: when its decision about each was recorded
    P:outbox:<case>      list: its decisions that Kafka has not acknowledged, oldest first
    P:patient:<key>      the patient's live case
    P:upload:<upload>    the case that the upload belongs to
    P:due                sorted set: <case> <timer>, by the time in ms at which it is due
    P:leased             sorted set: those that are due and were claimed, by the time in ms at which that lease ends
    P:unsent             sorted set: cases with something in the outbox, by the time in ms at which it was put there
    P:folded:cases       the server on which all this reflects the log, P:reflects:cases up to where (services.runtime.fence)

The scripts make key names from the prefix: they all lie in the slot of its hash tag."""

from services.runtime.fence import fenced, knowing_folded
from services.runtime.scripts import Script

WHAT = "cases"
OF_CASES = frozenset({b"case", b"begun", b"heard", b"outbox", b"patient", b"upload", b"due", b"leased", b"unsent"})

_NOW = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# What a case leaves behind it for others: which timers it waits for, and whose it is. change: see redis_store and redis_folding.
_PUT = (
    _NOW
    + """
local function put(p, change, state, now, is_behind)
  local case, heard, patient = p .. ':case:' .. change.case, p .. ':heard:' .. change.case, p .. ':patient:' .. change.patient
  redis.call('HSET', case, 'state', state, 'sequence', change.sequence)
  for _, message in ipairs(change.messages) do redis.call('HSET', heard, message[1], message[2]) end
  for _, upload in ipairs(change.uploads) do redis.call('SET', p .. ':upload:' .. upload[1], change.case, 'PX', upload[2]) end
  for _, timer in ipairs(change.dropped) do
    if redis.call('ZREM', p .. ':due', timer) == 0 then redis.call('ZREM', p .. ':leased', timer) end
  end
  for _, timer in ipairs(change.set) do
    local due = now + timer[3]
    redis.call('ZADD', p .. ':due', is_behind and due or math.min(timer[2], due), timer[1])
  end
  if change.live then
    if redis.call('GET', patient) ~= change.case then redis.call('SET', patient, change.case) end
    redis.call('PERSIST', case)
    redis.call('PERSIST', heard)
  else
    if redis.call('GET', patient) == change.case then redis.call('DEL', patient) end
    redis.call('PEXPIREAT', case, change.forget_at_ms)
    redis.call('PEXPIREAT', heard, change.forget_at_ms)
  end
end
"""
)

LOAD = fenced(
    WHAT,
    """
local p, message, upload, case, patient, fresh = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local of_upload = upload ~= '' and redis.call('GET', p .. ':upload:' .. upload)
if case == '' then case = of_upload or redis.call('GET', p .. ':patient:' .. patient) or fresh end
local state = redis.call('HGET', p .. ':case:' .. case, 'state')
local forgotten = of_upload and not state
local heard = (forgotten or redis.call('HEXISTS', p .. ':heard:' .. case, message) == 1) and 1 or 0
local begun = 0
if ARGV[6] ~= '' and heard == 0 then
  for name in string.gmatch(ARGV[6], '%S+') do redis.call('SADD', p .. ':begun:' .. message, name) end
  redis.call('PEXPIRE', p .. ':begun:' .. message, ARGV[7])
  begun = redis.call('SCARD', p .. ':begun:' .. message)
end
return {case, state, heard, redis.call('LRANGE', p .. ':outbox:' .. case, 0, -1), begun}
""",
)

STEP = fenced(
    WHAT,
    _PUT
    + """
local p, change = KEYS[1], cjson.decode(ARGV[1])
local message = change.messages[1][1]
if redis.call('HEXISTS', p .. ':heard:' .. change.case, message) == 1 then return 'handled' end
if tonumber(redis.call('HGET', p .. ':case:' .. change.case, 'sequence') or '0') ~= change.expected then return 'overtaken' end
if change.expected == 0 then
  if change.live and redis.call('EXISTS', p .. ':patient:' .. change.patient) == 1 then return 'overtaken' end
  for _, upload in ipairs(change.uploads) do
    if redis.call('EXISTS', p .. ':upload:' .. upload[1]) == 1 then return 'overtaken' end
  end
end
local now = now_ms()
put(p, change, ARGV[2], now, now - change.at_ms > tonumber(ARGV[4]))
redis.call('DEL', p .. ':begun:' .. message)
redis.call('RPUSH', p .. ':outbox:' .. change.case, ARGV[3])
redis.call('ZADD', p .. ':unsent', 'NX', now, change.case)
return 'done'
""",
)

# Not fenced: whatever this Redis is a copy of, Kafka has the decision.
_SENT = """
local function sent(p, case, decision)
  redis.call('LREM', p .. ':outbox:' .. case, 1, decision)
  if redis.call('EXISTS', p .. ':outbox:' .. case) == 0 then redis.call('ZREM', p .. ':unsent', case) end
end
"""
SENT = Script(_SENT + "sent(KEYS[1], ARGV[1], ARGV[2])")

# A bucket that is not folded gives nothing, so that the others' timers go on.
CLAIM = knowing_folded(
    WHAT,
    _NOW
    + """
local p = KEYS[1]
if not folded(p) then return false end
local now, found = now_ms(), {}
for _, timer in ipairs(redis.call('ZRANGEBYSCORE', p .. ':leased', '-inf', now, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', p .. ':leased', now + ARGV[1], timer)
  table.insert(found, timer)
end
for _, timer in ipairs(redis.call('ZRANGEBYSCORE', p .. ':due', '-inf', now, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', p .. ':due', timer)
  redis.call('ZADD', p .. ':leased', now + ARGV[1], timer)
  table.insert(found, timer)
end
return {found, redis.call('ZRANGEBYSCORE', p .. ':unsent', '-inf', now - ARGV[2], 'LIMIT', 0, ARGV[3])}
""",
)

# ARGV: how far ahead a timer or its lease may lie, in ms, and the kinds that may lie further. What lies further was set by a clock that was put back.
HURRY = knowing_folded(
    WHAT,
    _NOW
    + """
local p, now, hurried = KEYS[1], now_ms(), 0
if not folded(p) then return 0 end
for _, of in ipairs({':due', ':leased'}) do
  for _, timer in ipairs(redis.call('ZRANGEBYSCORE', p .. of, now + ARGV[1], '+inf')) do
    local kind = string.match(timer, ' ([^/]+)')
    if of == ':leased' or not string.find(ARGV[2], '<' .. kind .. '>', 1, true) then
      redis.call('ZADD', p .. of, now, timer)
      hurried = hurried + 1
    end
  end
end
return hurried
""",
)

CASE_IN = fenced(WHAT, "return redis.call('HGET', KEYS[1] .. ':case:' .. ARGV[1], 'state')")
OUTBOX_IN = fenced(WHAT, "return redis.call('LRANGE', KEYS[1] .. ':outbox:' .. ARGV[1], 0, -1)")

DROP = fenced(
    WHAT,
    """
redis.call('ZREM', KEYS[1] .. ':due', ARGV[1])
redis.call('ZREM', KEYS[1] .. ':leased', ARGV[1])
""",
)

# ---- bringing a bucket up to the log: redis_folding ----

LOOK = Script("""
local p, case = KEYS[1], ARGV[1]
return {
  redis.call('HGET', p .. ':case:' .. case, 'state'),
  redis.call('HGET', p .. ':case:' .. case, 'sequence'),
  redis.call('HGETALL', p .. ':heard:' .. case),
  redis.call('LRANGE', p .. ':outbox:' .. case, 0, -1),
}
""")

# ARGV: a case, then messages, each with when its decision was recorded: 1 where it has heard them all so, and nothing of it is in the outbox.
HEARD = Script("""
local p = KEYS[1]
for place = 2, #ARGV, 2 do
  if redis.call('HGET', p .. ':heard:' .. ARGV[1], ARGV[place]) ~= ARGV[place + 1] then return 0 end
end
return 1 - redis.call('EXISTS', p .. ':outbox:' .. ARGV[1])
""")

# ARGV: the guard, the change, the state, decisions to take out of the outbox. A guard that names a server holds on that server alone.
WRITE = knowing_folded(
    WHAT,
    _PUT
    + _SENT
    + """
local p, guard, change = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
if redis.call('GET', p .. ':folded:cases') ~= guard or (string.sub(guard, 1, 8) ~= 'folding ' and not folded(p)) then return 'refused' end
local case = p .. ':case:' .. change.case
if tonumber(redis.call('HGET', case, 'sequence') or '0') ~= change.expected then return 'overtaken' end
if change.anew then redis.call('DEL', case, p .. ':heard:' .. change.case) end
if ARGV[3] ~= '' then
  put(p, change, ARGV[3], now_ms(), false)
else
  for _, upload in ipairs(change.uploads) do redis.call('SET', p .. ':upload:' .. upload[1], change.case, 'PX', upload[2]) end
end
for place = 4, #ARGV do sent(p, change.case, ARGV[place]) end
for _, decision in ipairs(change.outbox) do
  redis.call('RPUSH', p .. ':outbox:' .. change.case, decision)
  redis.call('ZADD', p .. ':unsent', 'NX', now_ms(), change.case)
end
return 'done'
""",
)

# For a snapshot: cases as they lie, each whole.
WHOLE = fenced(
    WHAT,
    """
local found = {}
for _, case in ipairs(ARGV) do
  table.insert(found, {
    redis.call('HGET', KEYS[1] .. ':case:' .. case, 'state'),
    redis.call('HGETALL', KEYS[1] .. ':heard:' .. case),
    redis.call('LRANGE', KEYS[1] .. ':outbox:' .. case, 0, -1),
  })
end
return found
""",
)

KNOWN = fenced(
    WHAT,
    """
local found = {}
for _, upload in ipairs(ARGV) do
  local key = KEYS[1] .. ':upload:' .. upload
  table.insert(found, {redis.call('GET', key), redis.call('PEXPIRETIME', key)})
end
return found
""",
)

# ARGV: the guard, then upload, case and until when it is known, in turn.
REMEMBER = knowing_folded(
    WHAT,
    """
if redis.call('GET', KEYS[1] .. ':folded:cases') ~= ARGV[1] then return 'refused' end
for place = 2, #ARGV, 3 do redis.call('SET', KEYS[1] .. ':upload:' .. ARGV[place], ARGV[place + 1], 'PXAT', ARGV[place + 2], 'NX') end
return 'done'
""",
)
