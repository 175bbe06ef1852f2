// Pairs of Lock and Unlock through etcd's own lock service: C connections with N outstanding on each, every reply checked.
//
//     etcd_locks ENDPOINTS CONNECTIONS OUTSTANDING SECONDS        ENDPOINTS: host:port,host:port
//
// One thread over epoll and nghttp2. Each connection has a lease of its own, each outstanding pair a lock that nobody else wants:
// a name of 16 bytes. Connections go to the endpoints in turn. A reply counts when its grpc-status is 0 and, of a Lock, the key is
// in it. Prints one JSON object; what it cost itself is part of it, and `writes`: how far etcd's revision must have gone on.

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES_MAX = 512,
    PREFIX_BYTES = 5,  // of a message in gRPC: not compressed, its length
    NAME_BYTES = 16,
    LEASE_SECONDS = 3600,  // nothing renews it: longer than any run
    LATENCY_US_MAX = 4000000,
    IDLE_MS_MAX = 10000,  // without a single reply
    IN_BYTES = 1 << 16,
};

typedef enum { GRANT, LOCK, UNLOCK } Step;

static const char *const paths[] = {
    [GRANT] = "/etcdserverpb.Lease/LeaseGrant",
    [LOCK] = "/v3lockpb.Lock/Lock",
    [UNLOCK] = "/v3lockpb.Lock/Unlock",
};

typedef struct Connection Connection;

// A lock, and the one call at a time that is about it.
typedef struct {
    Connection *connection;
    uint32_t place;
    Step step;
    int status;  // grpc's; -1: none came
    uint64_t began_ns;
    uint8_t ask[MESSAGE_BYTES_MAX], reply[MESSAGE_BYTES_MAX];
    size_t ask_bytes, reply_bytes;
} Call;

struct Connection {
    int descriptor;
    uint32_t number;
    uint64_t lease;
    const char *authority;
    nghttp2_session *session;
    Call *calls;
};

static uint64_t until_ns, done, writes, open_calls, total_us;
static uint32_t *latencies;  // how many pairs took so many microseconds

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "etcd_locks: %s%s%s\n", what, *detail ? ": " : "", detail);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// --- protobuf --------------------------------------------------------------------------------------------------------

static uint8_t *put_varint(uint8_t *at, uint64_t value) {
    for (; value > 127; value >>= 7) *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_number(uint8_t *at, int field, uint64_t value) { return put_varint(put_varint(at, (uint64_t)field << 3), value); }

static uint8_t *put_bytes(uint8_t *at, int field, const void *bytes, size_t size) {
    at = put_varint(put_varint(at, (uint64_t)field << 3 | 2), size);
    memcpy(at, bytes, size);
    return at + size;
}

static uint64_t take_varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        const uint8_t next = *(*at)++;
        value |= (uint64_t)(next & 127) << shift;
        if (next < 128) return value;
    }
    fail("a number in a reply is cut short", "");
    return 0;
}

// The bytes of this field, in a message of numbers and bytes only; NULL: it is not there.
static const uint8_t *find_bytes(const uint8_t *at, const uint8_t *end, uint64_t field, size_t *size) {
    while (at < end) {
        const uint64_t tag = take_varint(&at, end), value = take_varint(&at, end);
        if ((tag & 7) == 0) continue;
        if ((tag & 7) != 2 || value > (uint64_t)(end - at)) fail("a reply is not understood", "");
        *size = value;
        if (tag >> 3 == field) return at;
        at += value;
    }
    return NULL;
}

// --- calls -----------------------------------------------------------------------------------------------------------

static ssize_t read_ask(nghttp2_session *session, int32_t stream, uint8_t *into, size_t room, uint32_t *flags,
                              nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    const Call *call = source->ptr;
    if (call->ask_bytes > room) fail("no room for a request", "");
    memcpy(into, call->ask, call->ask_bytes);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)call->ask_bytes;
}

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

// `end`: of the message that stands in `ask`, behind its prefix.
static void begin(Call *call, Step step, const uint8_t *end) {
    const uint32_t size = (uint32_t)(end - call->ask - PREFIX_BYTES);
    call->ask[0] = 0;
    for (int place = 0; place < 4; place++) call->ask[1 + place] = (uint8_t)(size >> (24 - 8 * place));
    call->ask_bytes = PREFIX_BYTES + size;
    call->step = step, call->status = -1, call->reply_bytes = 0;
    const nghttp2_nv headers[] = {
        header(":method", "POST"),    header(":scheme", "http"),
        header(":path", paths[step]), header(":authority", call->connection->authority),
        header("content-type", "application/grpc"), header("te", "trailers"),
    };
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_ask};
    if (nghttp2_submit_request(call->connection->session, NULL, headers, sizeof headers / sizeof *headers, &provider, call) < 0)
        fail("a call cannot begin", "");
    open_calls++;
}

static void lock(Call *call, uint64_t now) {
    char name[NAME_BYTES + 1];
    snprintf(name, sizeof name, "%06u%010u", call->connection->number % 1000000, call->place);
    call->began_ns = now;
    begin(call, LOCK, put_number(put_bytes(call->ask + PREFIX_BYTES, 1, name, NAME_BYTES), 2, call->connection->lease));
}

static int on_end(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)user;
    Call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (!call) return 0;
    if (error || call->status || call->reply_bytes <= PREFIX_BYTES) fail("etcd refused", paths[call->step]);
    open_calls--;
    const uint64_t now = now_ns();
    if (call->step == LOCK) {
        size_t size = 0;
        const uint8_t *key = find_bytes(call->reply + PREFIX_BYTES, call->reply + call->reply_bytes, 2, &size);
        if (!key || size <= NAME_BYTES) fail("a lock was granted without its key", "");
        writes++;
        begin(call, UNLOCK, put_bytes(call->ask + PREFIX_BYTES, 1, key, size));
    } else if (call->step == UNLOCK) {
        const uint64_t took_us = (now - call->began_ns) / 1000;
        latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
        total_us += took_us, writes++, done++;
        if (now < until_ns) lock(call, now);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size, void *user) {
    (void)flags, (void)user;
    Call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call->reply_bytes + size > MESSAGE_BYTES_MAX) fail("a reply is larger than any should be", "");
    memcpy(call->reply + call->reply_bytes, bytes, size);
    call->reply_bytes += size;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes, const uint8_t *value,
                     size_t value_bytes, uint8_t flags, void *user) {
    (void)flags, (void)user;
    Call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call && name_bytes == 11 && !memcmp(name, "grpc-status", 11)) call->status = value_bytes == 1 ? *value - '0' : 99;
    return 0;
}

// --- connections -----------------------------------------------------------------------------------------------------

static void flush(Connection *connection) {
    const uint8_t *bytes;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(connection->session, &bytes)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const ssize_t sent = send(connection->descriptor, bytes + at, (size_t)(size - at), MSG_NOSIGNAL);
            if (sent <= 0) fail("sending", strerror(errno));
            at += sent;
        }
    }
    if (size < 0) fail("sending", nghttp2_strerror((int)size));
}

static void on_readable(Connection *connection) {
    static uint8_t in[IN_BYTES];
    const ssize_t received = recv(connection->descriptor, in, sizeof in, 0);
    if (received <= 0) fail("etcd closed a connection", "");
    if (nghttp2_session_mem_recv(connection->session, in, (size_t)received) != received) fail("this is not HTTP/2", "");
    flush(connection);
}

static int dial(char *endpoint) {
    char *port = strrchr(endpoint, ':');
    if (!port) fail("an endpoint is host:port, not", endpoint);
    *port = 0;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(endpoint, port + 1, &hints, &found)) fail("no such address", endpoint);
    *port = ':';
    const int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, found->ai_addr, found->ai_addrlen)) fail("connecting", strerror(errno));
    freeaddrinfo(found);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return descriptor;
}

// Its lease is asked for; the locks follow once it is there.
static void open_connection(Connection *connection, char *endpoint, uint32_t number, int outstanding) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_end);
    nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, NULL, 0);
    connection->descriptor = dial(endpoint);
    connection->authority = endpoint, connection->number = number;
    if (getrandom(&connection->lease, sizeof connection->lease, 0) != sizeof connection->lease) fail("no random bytes", strerror(errno));
    connection->lease >>= 1;  // they are signed
    connection->calls = calloc((size_t)outstanding, sizeof(Call));
    if (!connection->calls) fail("no memory", "");
    for (int place = 0; place < outstanding; place++) connection->calls[place] = (Call){.connection = connection, .place = (uint32_t)place};
    Call *first = connection->calls;
    begin(first, GRANT, put_number(put_number(first->ask + PREFIX_BYTES, 1, LEASE_SECONDS), 2, connection->lease));
    flush(connection);
}

static void drain(int poll) {
    struct epoll_event events[256];
    while (open_calls) {
        const int count = epoll_wait(poll, events, 256, IDLE_MS_MAX);
        if (count == 0) fail("no reply for seconds", "");
        for (int place = 0; place < count; place++) on_readable(events[place].data.ptr);
    }
}

static double latency_ms(double share) {
    uint64_t below = (uint64_t)((double)done * share), us = 0;
    while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
    return (double)us / 1000;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 5) fail("usage", "etcd_locks ENDPOINTS CONNECTIONS OUTSTANDING SECONDS");
    const int connections = atoi(argv[2]), outstanding = atoi(argv[3]);
    const double seconds = atof(argv[4]);
    if (connections < 1 || outstanding < 1 || seconds <= 0) fail("usage", "at least one connection, one outstanding, some seconds");
    char *endpoints[16], *rest = argv[1], *one;
    int count = 0;
    while ((one = strsep(&rest, ",")) && count < 16) endpoints[count++] = one;
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    Connection *all = calloc((size_t)connections, sizeof *all);
    if (!latencies || !all) fail("no memory", "");
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < connections; number++) {
        open_connection(&all[number], endpoints[number % count], (uint32_t)number, outstanding);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &all[number]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[number].descriptor, &wanted)) fail("epoll", strerror(errno));
    }
    drain(poll);
    const double cpu_before = cpu_seconds();
    const uint64_t began_ns = now_ns();
    until_ns = began_ns + (uint64_t)(seconds * 1e9);
    for (int number = 0; number < connections; number++) {
        for (int place = 0; place < outstanding; place++) lock(&all[number].calls[place], now_ns());
        flush(&all[number]);
    }
    drain(poll);
    const double took = (double)(now_ns() - began_ns) / 1e9, cpu = cpu_seconds() - cpu_before;
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"per_second\": %.0f, \"done\": %llu, \"writes\": %llu, \"seconds\": %.3f, ", (double)done / took, (unsigned long long)done,
           (unsigned long long)writes, took);
    printf("\"ms\": {\"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ", (double)total_us / (double)done / 1000,
           latency_ms(0.5), latency_ms(0.9), latency_ms(0.99), (double)longest_us / 1000);
    printf("\"generator\": {\"cpu_share\": %.2f, \"us_per_request\": %.2f}}\n", cpu / took, cpu / (double)done * 1e6);
    return 0;
}
