// Load against a running cluster: C connections with N outstanding on each, every reply checked.
//
//     load ENDPOINTS CONNECTIONS OUTSTANDING SECONDS KIND [RATE [KEYS]]        ENDPOINTS: host:port,host:port
//
//     load ENDPOINTS CONNECTIONS OUTSTANDING KEYS fill                  puts so many keys, each once
//
// KIND: put; get (linearizable); get-anywhere (likewise, from all members in turn: who does not lead asks the leader); cas (the value compared, then put: one transaction); pair (a lock of its own for each
// outstanding one, acquired and then released: two requests); task (put into a queue of the connection's own, then one taken from
// there, then that one acknowledged: three requests). With a RATE the loop is open: so many requests a second leave at
// equal distances, spread over the connections, whatever is outstanding, and a time counts from when its request was due; 0 closes
// the loop. KEYS: of each connection, 10 unless said.
//
// One thread over epoll. Each connection says hello and opens a session of its own (docs/protocol.md); a put has a key of 16
// bytes, a value of 64, a sequence and the lowest open one. A reply counts when both checksums of its frame are right and it
// says what the request wanted; requests that leave together share a frame, as the client library's do. Prints one JSON object;
// what it cost itself is part of it, `writes`: how far the cluster's revision must have gone on, and `slow`: spells in which replies
// took more than 20 ms, each with its begin and end in ms since 1970, the longest time and how many; `gaps`: times of more than 10 ms
// without any reply, with their ends.

#include <sys/epoll.h>
#include <sys/prctl.h>

#include "wire.h"

enum { DONE = 1, GOT = 2, DECIDED = 4, GRANTED = 30, RELEASED = 33, TASK_PUT = 60, TAKEN = 61 };  // tags of results
enum {
    KEY_BYTES = 16,
    VALUE_BYTES = 64,
    ASK_BYTES_MAX = 288,
    WINDOW = 1 << 12,  // sequences of one connection that may be open or wait for a lower one
    KEYS_OF_CONNECTION = 10,  // unless said otherwise
    SPREAD = 7919,  // between one key and the next: no factor in common with how many there are
    OUTSTANDING_MAX = 512,
    FIRST_SEQUENCE = 0x10000,  // numbers from here on take five bytes in msgpack
    SLOW_US = 20000,
    GAP_NS = 10000000,
    SPELL_MS = 50,  // slow replies that are no further apart are one spell
    SPELLS_MAX = 100000,  // and gaps: the worst of ten minutes may come last
    LATENCY_US_MAX = 4000000,
    IDLE_MS_MAX = 10000,  // without a single reply
};

typedef enum { PUT, GET, CAS, ACQUIRE, RELEASE, PUT_TASK, TAKE, ACK, KINDS } Kind;

static const Kind followed_by[KINDS] = {[ACQUIRE] = RELEASE, [PUT_TASK] = TAKE, [TAKE] = ACK};  // PUT: by nothing

// A request, ready but for its numbers and keys.
typedef struct {
    uint8_t bytes[ASK_BYTES_MAX];
    size_t size, request_at, sequence_at, lowest_open_at, token_at, key_at[2];
    int keys;
} Ask;

typedef struct {
    uint64_t due_ns;  // 0: not open
    uint64_t token;   // what was acquired or taken, and is to be given back
    Kind kind;
    uint32_t key;
} Request;

typedef struct {
    Wire wire;
    uint32_t number, sequence, lowest_open;
    Request requests[WINDOW];  // by sequence
    Request next[OUTSTANDING_MAX];
    int next_count;
} Connection;

// Replies that took long, one soon after the other.
typedef struct {
    uint64_t first_ms, last_ms, longest_us, count;
} Spell;

static bool is_open_loop;
static uint32_t keys_of_connection = KEYS_OF_CONNECTION, asked_each_max = UINT32_MAX;
static uint64_t until_ns, done, writes, open_requests, total_us, answered_ns, longest_gap_ns, spell_count, gap_count;
static Spell spells[SPELLS_MAX];
static struct {
    uint64_t ended_ms, ns;
} gaps[SPELLS_MAX];
static uint32_t *latencies;  // how many took so many microseconds
static Kind workload;
static bool reads_anywhere;
static Ask asks[KINDS];
static uint8_t value[VALUE_BYTES], out[HEADER_BYTES + 8 + OUTSTANDING_MAX * ASK_BYTES_MAX];

static uint8_t *put_key(Ask *ask, uint8_t *at) {
    ask->key_at[ask->keys++] = (size_t)(at - ask->bytes) + 2;
    return put_bytes(at, (uint8_t[KEY_BYTES]){0}, KEY_BYTES);
}

static uint8_t *put_put(Ask *ask, uint8_t *at) {
    at = put_key(ask, put_small(put_array(at, 4), 1));
    return put_small(put_bytes(at, value, VALUE_BYTES), 0xC2);  // not bound
}

static uint8_t *put_operation(Ask *ask, uint8_t *at, Kind kind) {
    if (kind == PUT) return put_put(ask, at);
    if (kind == CAS) {
        at = put_array(put_array(put_small(put_array(at, 4), 6), 1), 5);
        at = put_small(put_small(put_small(put_key(ask, at), 0), 0), 0);  // its value is equal, no number
        at = put_array(put_bytes(at, value, VALUE_BYTES), 1);
        return put_array(put_put(ask, at), 0);
    }
    static const uint8_t fields[] = {[ACQUIRE] = 9, [RELEASE] = 3, [PUT_TASK] = 7, [TAKE] = 6, [ACK] = 3};
    static const uint8_t tags[] = {[ACQUIRE] = 30, [RELEASE] = 31, [PUT_TASK] = 61, [TAKE] = 62, [ACK] = 65};
    at = put_key(ask, put_small(put_array(at, fields[kind]), tags[kind]));
    if (kind == RELEASE || kind == ACK) {
        ask->token_at = (size_t)(at - ask->bytes) + 1;
        return put_number(at, UINT64_MAX);
    }
    if (kind == TAKE) return memcpy(at, "\1\xc2\xc2\0", 4), at + 4;  // one, at once or none, with the session, as the queue says
    if (kind == PUT_TASK) return at = put_bytes(at, value, VALUE_BYTES), memcpy(at, "\0\0\xc4\0\0", 5), at + 5;  // nothing special
    return memcpy(at, "\0\1\0\xc3\xc2\0\xa0", 7), at + 7;  // exclusive, one permit, no limit, wait, not again, no delay, no note
}

static void prepare(Ask *ask, Kind kind) {
    uint8_t *at = put_small(put_array(ask->bytes, kind == GET ? 6 : 3), kind == GET ? 2 : 1);
    ask->request_at = (size_t)(at - ask->bytes) + 1;
    uint8_t *command = put_number(at, FIRST_SEQUENCE);
    at = command + 2;
    if (kind == GET) {
        at = put_key(ask, put_small(put_array(at, 2), 4));
    } else {
        at = put_number(put_array(at, 5), UINT64_MAX);
        ask->sequence_at = (size_t)(at - ask->bytes) + 1;
        at = put_number(at, FIRST_SEQUENCE);
        ask->lowest_open_at = (size_t)(at - ask->bytes) + 1;
        at = put_operation(ask, put_small(put_number(at, FIRST_SEQUENCE), 0xA0), kind);  // no request id
    }
    command[0] = 0xC4, command[1] = (uint8_t)(at - command - 2);
    if (kind == GET) at = put_small(put_small(put_small(at, 0xC2), 0), reads_anywhere ? 0xC3 : 0xC2);  // not stale, at any revision
    ask->size = (size_t)(at - ask->bytes);
}

// --- the load --------------------------------------------------------------------------------------------------------

static void set_key(uint8_t *at, uint32_t connection, uint32_t key) {
    for (int place = KEY_BYTES - 1; place >= 6; place--, key /= 10) at[place] = (uint8_t)('0' + key % 10);
    for (int place = 5; place >= 0; place--, connection /= 10) at[place] = (uint8_t)('0' + connection % 10);
}

static uint8_t *write_ask(Connection *connection, uint8_t *at, Request request) {
    const uint32_t sequence = connection->sequence++;
    Request *place = &connection->requests[sequence % WINDOW];
    if (sequence - connection->lowest_open >= WINDOW || place->due_ns) fail("a request was never answered while thousands after it were", "");
    *place = request;
    Ask *ask = &asks[request.kind];
    write_u32(ask->bytes + ask->request_at, sequence);
    if (request.kind != GET) {
        write_u64(ask->bytes + ask->sequence_at - 9, connection->wire.session);
        write_u32(ask->bytes + ask->sequence_at, sequence);
        write_u32(ask->bytes + ask->lowest_open_at, connection->lowest_open);
    }
    if (ask->token_at) write_u64(ask->bytes + ask->token_at, request.token);
    for (int key = 0; key < ask->keys; key++) set_key(ask->bytes + ask->key_at[key], connection->number, request.key);
    memcpy(at, ask->bytes, ask->size);
    return at + ask->size;
}

// All that stands in `next`, in one frame.
static void send_next(Connection *connection) {
    if (!connection->next_count) return;
    uint8_t *at = put_array(out + HEADER_BYTES, 2);
    *at++ = 0xDC;
    *at++ = (uint8_t)(connection->next_count >> 8), *at++ = (uint8_t)connection->next_count;
    for (int place = 0; place < connection->next_count; place++) at = write_ask(connection, at, connection->next[place]);
    at = put_small(at, 0);  // no patience said
    seal(out, ASKS, (size_t)(at - out));
    send_all(&connection->wire, out, (size_t)(at - out));
    open_requests += (uint64_t)connection->next_count;
    connection->next_count = 0;
}

static void ask_next(Connection *connection, Request request) { connection->next[connection->next_count++] = request; }

// A put or get is of the key whose turn it is; what other requests follow keeps its key.
static Request first_of(Connection *connection, Kind kind, uint64_t due_ns) {
    const uint32_t turn = connection->sequence + (uint32_t)connection->next_count;
    return (Request){due_ns, 0, kind, turn * SPREAD % keys_of_connection};
}

static void check_item(Reader *result) {
    take_array(result);
    take_nested(result);
    const Reader got = take_nested(result);
    if (got.end - got.at != VALUE_BYTES || memcmp(got.at, value, VALUE_BYTES)) fail("a get got another value than was put", "");
}

// The token that was granted, or 0.
static uint64_t check_result(Kind kind, Reader result) {
    static const uint64_t wanted[KINDS] = {
        [PUT] = DONE,         [GET] = GOT,           [CAS] = DECIDED, [ACQUIRE] = GRANTED,
        [RELEASE] = RELEASED, [PUT_TASK] = TASK_PUT, [TAKE] = TAKEN,  [ACK] = DONE,
    };
    take_array(&result);
    const uint64_t tag = take_number(&result), revision = take_number(&result);
    if (!revision || tag != wanted[kind]) fail("a request was answered with what it did not want", "");
    if (kind == PUT && take_number(&result) != 1) fail("a put changed nothing", "");
    if (kind == GET) check_item(&result);
    if (kind == CAS && *take(&result, 1) != 0xC3) fail("a comparison did not hold", "");
    if (kind == RELEASE && take_number(&result) != 0) fail("a release did not end the grant", "");
    if (kind == TAKE) {
        if (take_array(&result) != 1) fail("nothing was taken from a queue that something was put into", "");
        take_array(&result), take_number(&result);  // the task's number
    }
    return kind == ACQUIRE || kind == TAKE ? take_number(&result) : 0;
}

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void note_gap(uint64_t gap_ns) {
    if (gap_ns > longest_gap_ns) longest_gap_ns = gap_ns;
    if (gap_ns < GAP_NS || gap_count == SPELLS_MAX) return;
    gaps[gap_count].ended_ms = wall_ms();
    gaps[gap_count++].ns = gap_ns;
}

static void note_slow(uint64_t took_us) {
    const uint64_t now_ms = wall_ms();
    Spell *spell = &spells[spell_count ? spell_count - 1 : 0];
    if (!spell_count || (now_ms > spell->last_ms + SPELL_MS && spell_count < SPELLS_MAX)) {
        spell = &spells[spell_count++];
        spell->first_ms = now_ms;
    }
    spell->last_ms = now_ms, spell->count++;
    if (took_us > spell->longest_us) spell->longest_us = took_us;
}

static void on_answer(Connection *connection, Reader *body, uint64_t now) {
    uint64_t fields = take_array(body);
    const uint64_t tag = take_number(body), answered = take_number(body);
    if (tag == ERROR_REPLY) fail("a request was refused", "is it the leader's overload or a new leader? begin again");
    if (tag != REPLY || fields < 5) fail("an answer of another kind", "");
    take_number(body), take_number(body);
    const Reader result = take_nested(body);
    for (fields -= 5; fields; fields--) skip(body);
    const uint32_t sequence = (uint32_t)answered;
    const Request request = connection->requests[sequence % WINDOW];
    if (sequence - connection->lowest_open >= WINDOW || sequence >= connection->sequence || !request.due_ns) fail("nothing like this was asked", "");
    const uint64_t token = check_result(request.kind, result);
    connection->requests[sequence % WINDOW].due_ns = 0;
    while (connection->lowest_open < connection->sequence && !connection->requests[connection->lowest_open % WINDOW].due_ns)
        connection->lowest_open++;
    writes += request.kind != GET && request.kind < PUT_TASK, open_requests--;  // tasks make no revisions, only a new queue does
    if (followed_by[request.kind]) {
        ask_next(connection, (Request){request.due_ns, token, followed_by[request.kind], request.key});
        return;
    }
    const uint64_t took_us = (now - request.due_ns) / 1000;
    latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
    total_us += took_us, done++;
    if (answered_ns) note_gap(now - answered_ns);
    answered_ns = now;
    if (took_us > SLOW_US) note_slow(took_us);
    if (is_open_loop || now >= until_ns || connection->sequence + (uint32_t)connection->next_count - FIRST_SEQUENCE >= asked_each_max) return;
    if (followed_by[workload])
        ask_next(connection, (Request){now, 0, workload, request.key});
    else
        ask_next(connection, first_of(connection, workload, now));
}

static void on_readable(Connection *connection) {
    if (!receive(&connection->wire)) fail("the member closed a connection", "");
    const uint64_t now = now_ns();
    size_t used = 0;
    uint8_t kind;
    Reader body;
    while (next_frame(&connection->wire, &used, &kind, &body)) {
        if (kind == HELLO && reads_anywhere) continue;
        if (kind != ANSWERS) fail("a frame that is no answer", "");
        for (uint64_t left = take_array(&body); left; left--) on_answer(connection, &body, now);
    }
    forget(&connection->wire, used);
    send_next(connection);
}

// Until then at the latest, or 0: until something can be read, which it must within seconds.
static void read_some(int poll, uint64_t wait_until_ns) {
    struct epoll_event events[256];
    struct timespec wait = {IDLE_MS_MAX / 1000, 0};
    if (wait_until_ns) {
        const uint64_t now = now_ns(), left = wait_until_ns > now ? wait_until_ns - now : 0;
        wait = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    }
    const int count = epoll_pwait2(poll, events, 256, &wait, NULL);
    if (count == 0 && !wait_until_ns) fail("no reply for seconds", "");
    for (int place = 0; place < count; place++) on_readable(events[place].data.ptr);
}

static void drain(int poll) {
    while (open_requests) read_some(poll, 0);
}

// Every key has its value before it is read or compared.
static void fill(int poll, Connection **all, int connections) {
    for (int number = 0; number < connections; number++) {
        for (uint32_t key = 0; key < keys_of_connection; key++) ask_next(all[number], first_of(all[number], PUT, now_ns()));
        send_next(all[number]);
    }
    drain(poll);
}

static void watch_wire(int poll, Connection *connection) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->wire.descriptor, &wanted)) fail("epoll", strerror(errno));
}

// From the leader to all members in turn.
static void spread(int poll, Connection **all, int connections) {
    for (int number = 0; number < connections; number++) {
        Wire *wire = &all[number]->wire;
        close_wire(wire);
        if (!dial_wire(wire, hosts[number % member_count], ports[number % member_count])) fail("a member is not there", "");
        say_hello(wire);
        watch_wire(poll, all[number]);
    }
}

static void run_closed(int poll, Connection **all, int connections, int outstanding) {
    for (int number = 0; number < connections; number++) {
        for (uint32_t place = 0; place < (uint32_t)outstanding; place++) {
            Request first = first_of(all[number], workload, now_ns());
            if (followed_by[workload]) first.key = workload == ACQUIRE ? place : 0;
            ask_next(all[number], first);
        }
        send_next(all[number]);
    }
    drain(poll);
}

static void run_open(int poll, Connection **all, int connections, double rate) {
    const uint64_t began_ns = now_ns();
    uint64_t sent = 0, due_ns = began_ns;
    while (due_ns < until_ns) {
        while (due_ns <= now_ns() && due_ns < until_ns) {
            Connection *connection = all[sent % (uint64_t)connections];
            ask_next(connection, first_of(connection, workload, due_ns));
            send_next(connection);
            due_ns = began_ns + (uint64_t)((double)++sent * 1e9 / rate);
        }
        read_some(poll, due_ns);
    }
    drain(poll);
}

static double latency_ms(double share) {
    uint64_t below = (uint64_t)((double)done * share), us = 0;
    while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
    return (double)us / 1000;
}

// As many keys of each connection, rounded up.
static void only_fill(int connections, int outstanding, double keys) {
    keys_of_connection = asked_each_max = (uint32_t)((keys + connections - 1) / connections);
    if (asked_each_max < (uint32_t)outstanding) fail("usage", "fewer keys than requests at once");
}

static Kind parse_kind(const char *name) {
    static const char *const names[KINDS] = {[PUT] = "put", [GET] = "get", [CAS] = "cas", [ACQUIRE] = "pair", [PUT_TASK] = "task"};
    for (Kind kind = PUT; kind < KINDS; kind++)
        if (names[kind] && !strcmp(name, names[kind])) return kind;
    fail("put, get, cas, pair or task, not", name);
    return PUT;
}

int main(int argc, char **argv) {
    if (argc < 6 || argc > 8) fail("usage", "load ENDPOINTS CONNECTIONS OUTSTANDING SECONDS put|get|get-anywhere|cas|pair|task [RATE [KEYS]]");
    const int connections = atoi(argv[2]), outstanding = atoi(argv[3]);
    const double seconds = atof(argv[4]), rate = argc >= 7 ? atof(argv[6]) : 0;
    const bool fills = !strcmp(argv[5], "fill");
    reads_anywhere = !strcmp(argv[5], "get-anywhere");
    workload = fills ? PUT : reads_anywhere ? GET : parse_kind(argv[5]);
    is_open_loop = rate > 0;
    if (argc == 8) keys_of_connection = (uint32_t)atoi(argv[7]);
    if (fills) only_fill(connections, outstanding, seconds);
    if (connections < 1 || outstanding < 1 || outstanding > OUTSTANDING_MAX || seconds <= 0 || rate < 0 ||
        (is_open_loop && followed_by[workload]) || keys_of_connection % SPREAD == 0 || (workload != PUT && keys_of_connection > OUTSTANDING_MAX))
        fail("usage", "at least one connection, 1 to 512 outstanding, some seconds; a rate for put, get and cas; many keys for put");
    prctl(PR_SET_TIMERSLACK, 1ul);  // a request leaves when it is due
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    Connection **all = calloc((size_t)connections, sizeof *all);
    if (!latencies || !all) fail("no memory", "");
    for (int place = 0; place < VALUE_BYTES; place++) value[place] = (uint8_t)place;
    for (Kind each = PUT; each < KINDS; each++) prepare(&asks[each], each);
    char *host, *port;
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < connections; number++) {
        Connection *connection = all[number] = calloc(1, sizeof *connection);
        if (!connection) fail("no memory", "");
        connection->number = (uint32_t)number;
        connection->sequence = connection->lowest_open = FIRST_SEQUENCE;
        if (!number)
            open_at_leader(&connection->wire, argv[1], &host, &port);
        else if (!open_wire(&connection->wire, host, port))
            fail("the leader opened no session for every connection", "");
        watch_wire(poll, connection);
    }
    if (workload == GET || workload == CAS) fill(poll, all, connections);
    if (reads_anywhere) spread(poll, all, connections);
    memset(latencies, 0, (LATENCY_US_MAX + 1) * sizeof *latencies);
    done = total_us = answered_ns = longest_gap_ns = spell_count = gap_count = 0;
    memset(spells, 0, sizeof spells);
    const double cpu_before = cpu_seconds();
    const uint64_t began_ns = now_ns();
    until_ns = fills ? UINT64_MAX : began_ns + (uint64_t)(seconds * 1e9);
    if (is_open_loop)
        run_open(poll, all, connections, rate);
    else
        run_closed(poll, all, connections, outstanding);
    const double took = (double)(now_ns() - began_ns) / 1e9, cpu = cpu_seconds() - cpu_before;
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"per_second\": %.0f, \"done\": %llu, \"writes\": %llu, \"seconds\": %.3f, ", (double)done / took, (unsigned long long)done,
           (unsigned long long)writes, took);
    printf("\"ms\": {\"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ", (double)total_us / (double)done / 1000,
           latency_ms(0.5), latency_ms(0.9), latency_ms(0.99), (double)longest_us / 1000);
    printf("\"longest_gap_ms\": %.3f, \"slow\": [", (double)longest_gap_ns / 1e6);
    for (uint64_t number = 0; number < spell_count; number++)
        printf("%s[%llu, %llu, %.3f, %llu]", number ? ", " : "", (unsigned long long)spells[number].first_ms,
               (unsigned long long)spells[number].last_ms, (double)spells[number].longest_us / 1000, (unsigned long long)spells[number].count);
    printf("], \"gaps\": [");
    for (uint64_t number = 0; number < gap_count; number++)
        printf("%s[%llu, %.3f]", number ? ", " : "", (unsigned long long)gaps[number].ended_ms, (double)gaps[number].ns / 1e6);
    printf("], \"generator\": {\"cpu_share\": %.2f, \"us_per_request\": %.2f}}\n", cpu / took, cpu / (double)done * 1e6);
    return 0;
}
