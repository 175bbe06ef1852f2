// Frames of coordnode, as much of msgpack as a generator needs, and connections with a session each. For one program alone: everything
// is static, and anything unexpected ends it. Built with WITH_TLS, connections are mutual TLS with the folder that LOAD_TLS names.

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>
#else
typedef void SSL;
#endif

enum { HELLO = 1, ASKS = 3, ANSWERS = 4, REFUSAL = 5 };  // kinds of frames
enum { REPLY = 1, ERROR_REPLY = 2 };                     // tags of answers
enum { SESSION_OPENED = 5 };                             // tag of a result
enum {
    HEADER_BYTES = 16,
    IN_BYTES = 1 << 20,
    SESSION_TTL_MS = 3600000,  // nothing renews them: longer than any run
    CONNECT_SECONDS_MAX = 10,
    MEMBERS_MAX = 16,
};

typedef struct {
    int descriptor;
    SSL *tls;  // NULL: in the clear
    uint64_t session;
    uint8_t *in;
    size_t in_bytes;
} Wire;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "%s%s%s\n", what, *detail ? ": " : "", detail);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// --- bytes -----------------------------------------------------------------------------------------------------------

static void write_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24), at[1] = (uint8_t)(value >> 16), at[2] = (uint8_t)(value >> 8), at[3] = (uint8_t)value;
}

static void write_u64(uint8_t *at, uint64_t number) {
    write_u32(at, (uint32_t)(number >> 32)), write_u32(at + 4, (uint32_t)number);
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
        write_u64(at + 1, value);
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

#ifdef WITH_TLS
static SSL *secure(int descriptor) {
    static SSL_CTX *context;
    const char *folder = getenv("LOAD_TLS");
    if (!folder) return NULL;
    if (!context) {
        char ca[4096], certificate[4096], key[4096];
        snprintf(ca, sizeof ca, "%s/ca.pem", folder), snprintf(certificate, sizeof certificate, "%s/certificate.pem", folder);
        snprintf(key, sizeof key, "%s/key.pem", folder);
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);  // a record without bytes of ours is no reason to wait for the next one
        if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1 || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
            fail("certificates cannot be used", folder);
    }
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, descriptor);
    if (SSL_connect(tls) != 1) fail("the handshake failed", "");
    return tls;
}

static ssize_t send_some(Wire *wire, const uint8_t *bytes, size_t size) {
    if (wire->tls) return SSL_write(wire->tls, bytes, (int)size);
    return send(wire->descriptor, bytes, size, MSG_NOSIGNAL);
}

// All that is decrypted already: nobody is woken for it.
static ssize_t receive_some(Wire *wire, uint8_t *at, size_t room) {
    if (!wire->tls) return recv(wire->descriptor, at, room, 0);
    size_t received = 0;
    do {
        const int some = SSL_read(wire->tls, at + received, (int)(room - received));
        if (some > 0)
            received += (size_t)some;
        else if (SSL_get_error(wire->tls, some) != SSL_ERROR_WANT_READ)
            return 0;
        else
            break;
    } while (SSL_pending(wire->tls) && received < room);
    if (received) return (ssize_t)received;
    errno = EAGAIN;
    return -1;
}
#else
static SSL *secure(int descriptor) { return (void)descriptor, NULL; }
static ssize_t send_some(Wire *wire, const uint8_t *bytes, size_t size) { return send(wire->descriptor, bytes, size, MSG_NOSIGNAL); }
static ssize_t receive_some(Wire *wire, uint8_t *at, size_t room) { return recv(wire->descriptor, at, room, 0); }
#endif

static void send_all(Wire *wire, const uint8_t *bytes, size_t size) {
    while (size) {
        const ssize_t sent = send_some(wire, bytes, size);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) fail("sending", strerror(errno));
        bytes += sent, size -= (size_t)sent;
    }
}

// The body of the next whole frame of this kind; NULL: not all of it is here yet.
static bool next_frame(Wire *wire, size_t *used, uint8_t *kind, Reader *body) {
    const uint8_t *at = wire->in + *used;
    const size_t left = wire->in_bytes - *used;
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

static bool receive(Wire *wire) {
    const ssize_t received = receive_some(wire, wire->in + wire->in_bytes, IN_BYTES - wire->in_bytes);
    if (received > 0) wire->in_bytes += (size_t)received;
    return received > 0 || (received < 0 && (errno == EINTR || errno == EAGAIN));
}

static void forget(Wire *wire, size_t used) {
    wire->in_bytes -= used;
    if (wire->in_bytes) memmove(wire->in, wire->in + used, wire->in_bytes);
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

static void say_hello(Wire *wire) {
    uint8_t frame[64], *at = put_array(frame + HEADER_BYTES, 7);
    for (int field = 0; field < 4; field++) at = put_small(at, 0);
    memcpy(at, "\xa9" "benchmark" "\xa0\x90", 12), at += 12;  // who we are, no build, no contacts
    seal(frame, HELLO, (size_t)(at - frame));
    send_all(wire, frame, (size_t)(at - frame));
}

// Hello, and a session of our own. 0: this member does not open one, it does not lead.
static uint64_t greet(Wire *wire) {
    uint8_t frame[256], nonce[16], command[128], *at;
    say_hello(wire);
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
    send_all(wire, frame, (size_t)(at - frame));
    while (receive(wire)) {
        size_t used = 0;
        uint8_t kind;
        Reader body;
        uint64_t session = 0;
        bool is_answered = false;
        while (next_frame(wire, &used, &kind, &body)) {
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
        forget(wire, used);
        if (is_answered) return session;
    }
    return 0;
}

static bool dial_wire(Wire *wire, const char *host, const char *port) {
    *wire = (Wire){.descriptor = dial(host, port), .in = malloc(IN_BYTES)};
    if (!wire->in) fail("no memory", "");
    if (wire->descriptor >= 0) wire->tls = secure(wire->descriptor);
    return wire->descriptor >= 0;
}

static void close_wire(Wire *wire) {
    if (wire->descriptor >= 0) close(wire->descriptor);
    free(wire->in);
}

// False: this member does not lead, or is not there.
static bool open_wire(Wire *wire, const char *host, const char *port) {
    wire->session = dial_wire(wire, host, port) ? greet(wire) : 0;
    if (wire->session) return true;
    close_wire(wire);
    return false;
}

static char *hosts[MEMBERS_MAX], *ports[MEMBERS_MAX];  // as the command line names them
static int member_count;

// The member that opens a session leads; everything goes there.
static void open_at_leader(Wire *wire, char *endpoints, char **host, char **port) {
    const uint64_t give_up_ns = now_ns() + CONNECT_SECONDS_MAX * 1000000000ull;
    char *rest = endpoints, *one;
    while ((one = strsep(&rest, ",")) && member_count < MEMBERS_MAX) {
        if (!(ports[member_count] = strrchr(one, ':'))) fail("an endpoint is host:port, not", one);
        *ports[member_count]++ = 0;
        hosts[member_count++] = one;
    }
    while (now_ns() < give_up_ns) {
        for (int place = 0; place < member_count; place++)
            if (open_wire(wire, *host = hosts[place], *port = ports[place])) return;
        usleep(50000);
    }
    fail("no member leads", "");
}
