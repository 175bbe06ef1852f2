// Puts or linearizable gets against a running cluster: C connections with N outstanding on each, every reply checked.
//
//     load ENDPOINTS CONNECTIONS OUTSTANDING SECONDS put|get        ENDPOINTS: host:port,host:port
//
// One thread over epoll. Each connection says hello and opens a session of its own (docs/protocol.md); a put has a key of 16
// bytes, a value of 64, a sequence and the lowest open one. A reply counts when both checksums of its frame are right and it
// says what the request wanted; requests that leave together share a frame, as the client library's do. Prints one JSON object; what it cost itself is part of it. benchmarks/harness.py compiles it.

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
#include <zlib.h>

enum { HELLO = 1, ASKS = 3, ANSWERS = 4, REFUSAL = 5 };  // kinds of frames
enum { REPLY = 1, ERROR_REPLY = 2 };                     // tags of answers
enum { DONE = 1, GOT = 2, SESSION_OPENED = 5 };          // tags of results
enum {
    HEADER_BYTES = 16,
    KEY_BYTES = 16,
    VALUE_BYTES = 64,
    IN_BYTES = 1 << 18,
    WINDOW = 1 << 14,       // sequences of one connection that may be open or wait for a lower one
    KEYS_OF_CONNECTION = 10,
    OUTSTANDING_MAX = 512,
    FIRST_SEQUENCE = 0x10000,  // numbers from here on take five bytes in msgpack
    SESSION_TTL_MS = 3600000, // nothing renews them: longer than any run
    LATENCY_US_MAX = 4000000,
    CONNECT_SECONDS_MAX = 10,
    IDLE_MS_MAX = 10000,  // without a single reply
};

typedef struct {
    int descriptor;
    uint32_t number, sequence, lowest_open;
    bool is_greeted;
    uint8_t *in;
    size_t in_bytes;
    uint8_t ask[192];  // a request, ready but for the numbers and the key
    size_t ask_bytes, request_at, sequence_at, lowest_open_at, key_at;
    uint64_t sent_ns[WINDOW];  // 0: not open
} Connection;

static bool reads;
static uint64_t until_ns, done, open_requests;
static uint32_t *latencies;  // how many replies took so many microseconds
static uint8_t out[HEADER_BYTES + 8 + OUTSTANDING_MAX * 192];

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "load: %s%s%s\n", what, *detail ? ": " : "", detail);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// --- bytes -----------------------------------------------------------------------------------------------------------

static void write_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24), at[1] = (uint8_t)(value >> 16), at[2] = (uint8_t)(value >> 8), at[3] = (uint8_t)value;
}

static uint32_t read_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void seal(uint8_t *frame, uint8_t kind, size_t frame_bytes) {
    const size_t body_bytes = frame_bytes - HEADER_BYTES;
    frame[0] = 0xC5, frame[1] = 1, frame[2] = kind, frame[3] = 0;
    write_u32(frame + 4, (uint32_t)body_bytes);
    write_u32(frame + 8, (uint32_t)crc32(0, frame + HEADER_BYTES, (uInt)body_bytes));
    write_u32(frame + 12, (uint32_t)crc32(0, frame, 12));
}

static uint8_t *put_array(uint8_t *at, int count) { return *at = (uint8_t)(0x90 | count), at + 1; }
static uint8_t *put_small(uint8_t *at, int value) { return *at = (uint8_t)value, at + 1; }

static uint8_t *put_number(uint8_t *at, uint64_t value) {
    if (value >> 32) {
        *at = 0xCF;
        write_u32(at + 1, (uint32_t)(value >> 32));
        write_u32(at + 5, (uint32_t)value);
        return at + 9;
    }
    *at = 0xCE;
    write_u32(at + 1, (uint32_t)value);
    return at + 5;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size) {
    at[0] = 0xC4, at[1] = (uint8_t)size;
    memcpy(at + 2, bytes, size);
    return at + 2 + size;
}

// What was received, read from the front. Anything unexpected ends the run.
typedef struct {
    const uint8_t *at, *end;
} Reader;

static const uint8_t *take(Reader *reader, size_t size) {
    if ((size_t)(reader->end - reader->at) < size) fail("an answer is cut short", "");
    const uint8_t *taken = reader->at;
    reader->at += size;
    return taken;
}

static uint64_t take_big(Reader *reader, size_t size) {
    const uint8_t *at = take(reader, size);
    uint64_t value = 0;
    while (size--) value = value << 8 | *at++;
    return value;
}

static uint64_t take_number(Reader *reader) {
    const uint8_t first = *take(reader, 1);
    if (first < 0x80) return first;
    if (first < 0xCC || first > 0xCF) fail("a number was expected in an answer", "");
    return take_big(reader, (size_t)1 << (first - 0xCC));
}

static uint64_t take_array(Reader *reader) {
    const uint8_t first = *take(reader, 1);
    if (first >> 4 == 9) return first & 15;
    if (first != 0xDC && first != 0xDD) fail("an array was expected in an answer", "");
    return take_big(reader, first == 0xDC ? 2 : 4);
}

static Reader take_nested(Reader *reader) {
    const uint8_t first = *take(reader, 1);
    if (first < 0xC4 || first > 0xC6) fail("bytes were expected in an answer", "");
    const size_t size = take_big(reader, (size_t)1 << (first - 0xC4));
    const uint8_t *at = take(reader, size);
    return (Reader){at, at + size};
}

static void skip(Reader *reader) {
    const uint8_t first = *take(reader, 1);
    if (first >> 4 == 9 || first == 0xDC) {
        for (uint64_t left = first == 0xDC ? take_big(reader, 2) : first & 15; left; left--) skip(reader);
    } else if (first >> 5 == 5 || (first >= 0xC4 && first <= 0xC6)) {
        take(reader, first >> 5 == 5 ? first & 31 : take_big(reader, (size_t)1 << (first - 0xC4)));
    } else if (first >= 0xD9 && first <= 0xDB) {
        take(reader, take_big(reader, (size_t)1 << (first - 0xD9)));
    } else if (first >= 0xCC && first <= 0xCF) {
        take(reader, (size_t)1 << (first - 0xCC));
    } else if (first >= 0x80 && first != 0xC0 && first != 0xC2 && first != 0xC3) {
        fail("an answer has something unknown in it", "");
    }
}

// --- connections -----------------------------------------------------------------------------------------------------

static void send_all(int descriptor, const uint8_t *bytes, size_t size) {
    while (size) {
        const ssize_t sent = send(descriptor, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) fail("sending", strerror(errno));
        bytes += sent, size -= (size_t)sent;
    }
}

// The body of the next whole frame of this kind; NULL: not all of it is here yet.
static bool next_frame(Connection *connection, size_t *used, uint8_t *kind, Reader *body) {
    const uint8_t *at = connection->in + *used;
    const size_t left = connection->in_bytes - *used;
    if (left < HEADER_BYTES) return false;
    if (at[0] != 0xC5 || at[1] != 1 || at[3] != 0) fail("this is no frame of coordnode", "");
    if ((uint32_t)crc32(0, at, 12) != read_u32(at + 12)) fail("a header's checksum is wrong", "");
    const size_t size = read_u32(at + 4);
    if (size > IN_BYTES - HEADER_BYTES) fail("an answer is larger than anything that was asked for", "");
    if (left < HEADER_BYTES + size) return false;
    *kind = at[2];
    *body = (Reader){at + HEADER_BYTES, at + HEADER_BYTES + size};
    if ((uint32_t)crc32(0, body->at, (uInt)size) != read_u32(at + 8)) fail("a body's checksum is wrong", "");
    *used += HEADER_BYTES + size;
    return true;
}

static bool receive(Connection *connection) {
    const ssize_t received = recv(connection->descriptor, connection->in + connection->in_bytes, IN_BYTES - connection->in_bytes, 0);
    if (received > 0) connection->in_bytes += (size_t)received;
    return received > 0 || (received < 0 && (errno == EINTR || errno == EAGAIN));
}

static void forget(Connection *connection, size_t used) {
    connection->in_bytes -= used;
    if (connection->in_bytes) memmove(connection->in, connection->in + used, connection->in_bytes);
}

static int dial(const char *host, const char *port) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found)) fail("no such address", host);
    const int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_connected = descriptor >= 0 && connect(descriptor, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (!is_connected) {
        if (descriptor >= 0) close(descriptor);
        return -1;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return descriptor;
}

// Hello, and a session of our own. 0: this member does not open one, it does not lead.
static uint64_t greet(Connection *connection) {
    uint8_t frame[256], nonce[16], command[128], *at = frame + HEADER_BYTES;
    at = put_array(at, 7);
    for (int field = 0; field < 4; field++) at = put_small(at, 0);
    memcpy(at, "\xa9" "benchmark" "\xa0\x90", 12), at += 12;  // who we are, no build, no contacts
    seal(frame, HELLO, (size_t)(at - frame));
    send_all(connection->descriptor, frame, (size_t)(at - frame));
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) fail("no random bytes", strerror(errno));
    at = put_array(command, 5);
    for (int field = 0; field < 3; field++) at = put_small(at, 0);
    at = put_small(at, 0xA0);  // no request id
    at = put_small(put_array(at, 5), 10);
    at = put_number(put_bytes(at, nonce, sizeof nonce), SESSION_TTL_MS);
    memcpy(at, "\xa9" "benchmark" "\xc0", 11), at += 11;  // the owner; no first command
    const size_t command_bytes = (size_t)(at - command);
    at = put_small(put_small(put_array(put_array(put_array(frame + HEADER_BYTES, 2), 1), 3), 1), 1);
    at = put_small(put_bytes(at, command, command_bytes), 0);  // no patience said
    seal(frame, ASKS, (size_t)(at - frame));
    send_all(connection->descriptor, frame, (size_t)(at - frame));
    while (receive(connection)) {
        size_t used = 0;
        uint8_t kind;
        Reader body;
        uint64_t session = 0;
        bool is_answered = false;
        while (next_frame(connection, &used, &kind, &body)) {
            if (kind == REFUSAL) fail("refused", "");
            if (kind == HELLO) continue;
            if (kind != ANSWERS || take_array(&body) != 1) fail("the session's answer was expected", "");
            take_array(&body);
            is_answered = true;
            if (take_number(&body) != REPLY) continue;
            for (int field = 0; field < 3; field++) take_number(&body);
            Reader result = take_nested(&body);
            take_array(&result);
            if (take_number(&result) != SESSION_OPENED) fail("no session was opened", "");
            session = take_number(&result);
        }
        forget(connection, used);
        if (is_answered) return session;
    }
    return 0;
}

static void prepare(Connection *connection, uint64_t session) {
    uint8_t value[VALUE_BYTES], key[KEY_BYTES] = {0}, command[160], *at;
    for (int place = 0; place < VALUE_BYTES; place++) value[place] = (uint8_t)place;
    size_t sequence_at = 0, lowest_open_at = 0, key_at;
    if (reads) {
        at = put_small(put_array(command, 2), 4);
        key_at = (size_t)(at - command) + 2;
        at = put_bytes(at, key, KEY_BYTES);
    } else {
        at = put_number(put_array(command, 5), session);
        sequence_at = (size_t)(at - command) + 1;
        at = put_number(at, FIRST_SEQUENCE);
        lowest_open_at = (size_t)(at - command) + 1;
        at = put_number(at, FIRST_SEQUENCE);
        at = put_small(put_array(put_small(at, 0xA0), 4), 1);
        key_at = (size_t)(at - command) + 2;
        at = put_bytes(put_bytes(at, key, KEY_BYTES), value, VALUE_BYTES);
        at = put_small(at, 0xC2);  // not bound
    }
    const size_t command_bytes = (size_t)(at - command);
    at = put_small(put_array(connection->ask, reads ? 5 : 3), reads ? 2 : 1);
    connection->request_at = (size_t)(at - connection->ask) + 1;
    at = put_number(at, FIRST_SEQUENCE);
    const size_t command_at = (size_t)(at - connection->ask) + 2;
    at = put_bytes(at, command, command_bytes);
    if (reads) at = put_small(put_small(at, 0xC2), 0);  // not stale, at any revision
    connection->ask_bytes = (size_t)(at - connection->ask);
    connection->sequence_at = command_at + sequence_at;
    connection->lowest_open_at = command_at + lowest_open_at;
    connection->key_at = command_at + key_at;
    connection->sequence = connection->lowest_open = FIRST_SEQUENCE;
}

// --- the load --------------------------------------------------------------------------------------------------------

static void set_key(uint8_t *at, uint32_t connection, uint32_t key) {
    for (int place = KEY_BYTES - 1; place >= 6; place--, key /= 10) at[place] = (uint8_t)('0' + key % 10);
    for (int place = 5; place >= 0; place--, connection /= 10) at[place] = (uint8_t)('0' + connection % 10);
}

static void send_requests(Connection *connection, int count, uint64_t now) {
    uint8_t *at = put_array(out + HEADER_BYTES, 2);
    *at++ = 0xDC;
    *at++ = (uint8_t)(count >> 8), *at++ = (uint8_t)count;
    for (int request = 0; request < count; request++) {
        const uint32_t sequence = connection->sequence++;
        uint64_t *sent = &connection->sent_ns[sequence % WINDOW];
        if (sequence - connection->lowest_open >= WINDOW || *sent) fail("a request was never answered while thousands after it were", "");
        *sent = now;
        write_u32(connection->ask + connection->request_at, sequence);
        if (!reads) {
            write_u32(connection->ask + connection->sequence_at, sequence);
            write_u32(connection->ask + connection->lowest_open_at, connection->lowest_open);
        }
        set_key(connection->ask + connection->key_at, connection->number, sequence % KEYS_OF_CONNECTION);
        memcpy(at, connection->ask, connection->ask_bytes);
        at += connection->ask_bytes;
    }
    at = put_small(at, 0);  // no patience said
    seal(out, ASKS, (size_t)(at - out));
    send_all(connection->descriptor, out, (size_t)(at - out));
    open_requests += (uint64_t)count;
}

static void check_result(Reader result) {
    take_array(&result);
    const uint64_t tag = take_number(&result), revision = take_number(&result);
    if (!revision || tag != (reads ? GOT : DONE)) fail(reads ? "a get was not answered with what it got" : "a put was not done", "");
    if (!reads && take_number(&result) != 1) fail("a put changed nothing", "");
}

static void on_answer(Connection *connection, Reader *body, uint64_t now) {
    uint64_t fields = take_array(body);
    const uint64_t tag = take_number(body), request = take_number(body);
    if (tag == ERROR_REPLY) fail("a request was refused", "is it the leader's overload or a new leader? begin again");
    if (tag != REPLY || fields < 5) fail("an answer of another kind", "");
    take_number(body), take_number(body);
    check_result(take_nested(body));
    for (fields -= 5; fields; fields--) skip(body);
    const uint32_t sequence = (uint32_t)request;
    uint64_t *sent = &connection->sent_ns[sequence % WINDOW];
    if (sequence - connection->lowest_open >= WINDOW || sequence >= connection->sequence || !*sent) fail("nothing like this was asked", "");
    const uint64_t took_us = (now - *sent) / 1000;
    latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
    *sent = 0;
    while (connection->lowest_open < connection->sequence && !connection->sent_ns[connection->lowest_open % WINDOW])
        connection->lowest_open++;
    done++, open_requests--;
}

static void on_readable(Connection *connection) {
    if (!receive(connection)) fail("the member closed a connection", "");
    const uint64_t now = now_ns(), answered = done;
    size_t used = 0;
    uint8_t kind;
    Reader body;
    while (next_frame(connection, &used, &kind, &body)) {
        if (kind != ANSWERS) fail("a frame that is no answer", "");
        for (uint64_t left = take_array(&body); left; left--) on_answer(connection, &body, now);
    }
    forget(connection, used);
    if (now >= until_ns) return;
    if (done > answered) send_requests(connection, (int)(done - answered), now);
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

static Connection *connect_to(const char *host, const char *port, uint32_t number, uint64_t *session) {
    Connection *connection = calloc(1, sizeof *connection);
    if (!connection || !(connection->in = malloc(IN_BYTES))) fail("no memory", "");
    connection->number = number;
    connection->descriptor = dial(host, port);
    *session = connection->descriptor < 0 ? 0 : greet(connection);
    if (*session) return connection;
    if (connection->descriptor >= 0) close(connection->descriptor);
    free(connection->in);
    free(connection);
    return NULL;
}

// The member that opens a session leads; everything goes there.
static Connection *find_leader(char *endpoints, char **host, char **port, uint64_t *session) {
    const uint64_t give_up_ns = now_ns() + CONNECT_SECONDS_MAX * 1000000000ull;
    char *hosts[16], *ports[16], *rest = endpoints, *one;
    int count = 0;
    while ((one = strsep(&rest, ",")) && count < 16) {
        if (!(ports[count] = strrchr(one, ':'))) fail("an endpoint is host:port, not", one);
        *ports[count]++ = 0;
        hosts[count++] = one;
    }
    while (now_ns() < give_up_ns) {
        for (int place = 0; place < count; place++) {
            Connection *connection = connect_to(*host = hosts[place], *port = ports[place], 0, session);
            if (connection) return connection;
        }
        usleep(50000);
    }
    fail("no member leads", "");
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "load ENDPOINTS CONNECTIONS OUTSTANDING SECONDS put|get");
    const int connections = atoi(argv[2]), outstanding = atoi(argv[3]);
    const double seconds = atof(argv[4]);
    reads = strcmp(argv[5], "get") == 0;
    if (connections < 1 || outstanding < 1 || outstanding > OUTSTANDING_MAX || seconds <= 0 || (!reads && strcmp(argv[5], "put")))
        fail("usage", "at least one connection, 1 to 512 outstanding, some seconds, put or get");
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    Connection **all = calloc((size_t)connections, sizeof *all);
    if (!latencies || !all) fail("no memory", "");
    char *host, *port;
    uint64_t session;
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < connections; number++) {
        all[number] = number ? connect_to(host, port, (uint32_t)number, &session) : find_leader(argv[1], &host, &port, &session);
        if (!all[number]) fail("the leader opened no session for every connection", "");
        prepare(all[number], session);
        fcntl(all[number]->descriptor, F_SETFL, 0);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = all[number]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[number]->descriptor, &wanted)) fail("epoll", strerror(errno));
    }
    const double cpu_before = cpu_seconds();
    const uint64_t began_ns = now_ns();
    until_ns = began_ns + (uint64_t)(seconds * 1e9);
    for (int number = 0; number < connections; number++)
        send_requests(all[number], outstanding, now_ns());
    struct epoll_event events[256];
    while (open_requests) {
        const int count = epoll_wait(poll, events, 256, IDLE_MS_MAX);
        if (count == 0) fail("no reply for seconds", "");
        for (int place = 0; place < count; place++) on_readable(events[place].data.ptr);
    }
    const double took = (double)(now_ns() - began_ns) / 1e9, cpu = cpu_seconds() - cpu_before;
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"per_second\": %.0f, \"done\": %llu, \"seconds\": %.3f, ", (double)done / took, (unsigned long long)done, took);
    printf("\"ms\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ", latency_ms(0.5), latency_ms(0.9), latency_ms(0.99),
           (double)longest_us / 1000);
    printf("\"generator\": {\"cpu_share\": %.2f, \"us_per_request\": %.2f}}\n", cpu / took, cpu / (double)done * 1e6);
    return 0;
}
