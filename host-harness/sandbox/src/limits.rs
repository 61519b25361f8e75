//! The limits of one call, each with its reason.

use std::time::Duration;

/// Linear memory of one call, all of its memories together. A page of the catalog is at most 8 MiB of text and is held
/// about twice while it is read; 64 MiB leaves room for that and keeps all calls of a process within 16 GiB.
pub const MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Linear memories of one call: one for the plugin, and one for a component that it is composed with.
pub const MEMORIES: u32 = 2;

/// Memory of a sandbox that keeps its pages for the next call. A purchase uses 1.2 MiB; what a larger call used beyond
/// goes back to the system.
pub const WARM_MEMORY_BYTES: usize = 2 * 1024 * 1024;

/// Sandboxes without a call that keep their pages: about as many as are in use at once, where many are.
pub const WARM_SLOTS: u32 = 64;

/// Calls of a process that can run at once, whatever plugin and host they are of, each in a sandbox. A call beyond these
/// waits for one, for half of its time at most. The memory of all of them has its addresses set aside once for a process:
/// 4 GiB for each of [`MEMORIES`], 2.1 TB of the 128 that a process has.
pub const CALLS_AT_ONCE: u32 = 256;

/// Calls of one instance that can run at once: a quarter of all is left to the others, as workers leave them a quarter of
/// their slots, so that a vendor that answers slowly does not keep the calls to all others waiting. Three times as many as an
/// instance may have exchanges under way.
pub const CALLS_PER_INSTANCE: u32 = CALLS_AT_ONCE / 4 * 3;

/// Table elements of one call, all of its tables together. The plugin has about a thousand function pointers.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Tables of one call: a component built by `rustc` has two.
pub const TABLES: u32 = 8;

/// Core instances of one call: a component built by `rustc` needs about five.
pub const CORE_INSTANCES: u32 = 20;

/// Handles that a call may hold at once, its own resources and the host's each. One HTTP exchange takes about ten.
pub const HANDLES: usize = 1_000;

/// Random bytes that a guest may ask for at once. A UUID needs 16.
pub const RANDOM_BYTES: u64 = 64 * 1024;

/// Work that lowering one call's arguments may cost the host, in bytes. A page of products is below 16 MiB.
pub const HOST_CALL_FUEL: usize = 64 * 1024 * 1024;

/// How often a running guest pauses, so that its deadlines can be seen. Ten milliseconds is what wasmtime's own users
/// settled on: the check costs nothing that can be measured, and a loop is noticed before a person would.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Time on the processor that a call may use; waiting for an answer does not count. Reading 100,000 offers takes
/// under two seconds.
pub const PROCESSOR: Duration = Duration::from_secs(10);

/// Wall-clock time of a call that may reach the vendor.
pub const CALL: Duration = Duration::from_secs(120);

/// Wall-clock time of a call that reads a whole catalog, page after page.
pub const CATALOG_CALL: Duration = Duration::from_secs(30 * 60);

/// Text that a guest may write to its log and to its standard output and error in one call: 10,000 lines of a usual
/// length. Text beyond it is dropped, and the log says so.
pub const LOG_BYTES: usize = 1024 * 1024;

/// Characters of one log line.
pub const LOG_LINE_CHARS: usize = 2_000;

/// Lines that a guest may log at once: a catalog of 100,000 offers of which one in fifty can't be understood has
/// so many in less than a second.
pub const LOG_LINES_AT_ONCE: u32 = 2_000;

/// Lines per second beyond those at once; faster ones are dropped, and the log says how many.
pub const LOG_LINES_PER_SECOND: u32 = 200;

/// Lines that all calls of one instance may log at once, however many there are: as many as four such catalogs have.
/// A purchase that goes well logs nothing.
pub const INSTANCE_LOG_LINES_AT_ONCE: u32 = 4 * LOG_LINES_AT_ONCE;

/// Lines per second of one instance beyond those: what two calls may have.
pub const INSTANCE_LOG_LINES_PER_SECOND: u32 = 2 * LOG_LINES_PER_SECOND;

/// Lines that are kept of what a call's guest wrote last: a panic of Rust's has three, and a few before it say what led there.
pub const LAST_WORDS_LINES: usize = 10;

/// Bytes of those lines together: a call holds them until it ends, and a recording has them.
pub const LAST_WORDS_BYTES: usize = 4 * 1024;

/// Bytes of one of those lines. With a quarter of all, the longest message of a panic leaves room for the place of the panic
/// before it and the note behind it.
pub const LAST_WORDS_LINE_BYTES: usize = LAST_WORDS_BYTES / 4;

/// Bytes of those lines in the sentence that says how the call ended, which is written down with every attempt.
pub const LAST_WORDS_SENTENCE_BYTES: usize = 600;

/// Bytes of one line in that sentence: the three of a panic find room.
pub const LAST_WORDS_SENTENCE_LINE_BYTES: usize = LAST_WORDS_SENTENCE_BYTES / 3;

/// Log lines that one call may write into the traces, beside its last words: a purchase has a few, and those of a catalog are
/// on record with its run. With the longest texts they take less than a fortieth of a file.
pub const TRACED_LOG_LINES: u32 = 200;

/// Products that one reading may hand over: ten times the largest catalog that is planned for.
pub const PRODUCTS: usize = 1_000_000;

/// Memory that all products of one reading take: their text, and what the host needs to hold each text, value and
/// product.
pub const PRODUCT_BYTES: usize = 512 * 1024 * 1024;

/// Attribute values of one product, and attributes of a product type. Those of the vendors known have one.
pub const PRODUCT_VALUES: usize = 100;

/// Characters of a problem's code. Longer ones are cut, since the code of a failure must not hide the failure.
pub const PROBLEM_CODE_CHARS: usize = 100;

/// Characters of a message, an advice or a help. Longer ones are cut: a sentence has a tenth of that, and each is written
/// down with every attempt.
pub const SENTENCE_CHARS: usize = 2_000;

/// Characters of a label, or of a name that is read. Longer ones are cut; the name of a product has 250 at most.
pub const LABEL_CHARS: usize = 1_000;

/// Characters of a product's description. Longer ones are cut; those known have 4,000 at most.
pub const DESCRIPTION_CHARS: usize = 10_000;

/// Characters of an id or a code by which something is found again. A longer one fails the call, and a correlation id,
/// which is only quoted, is cut.
pub const NAME_CHARS: usize = 200;

/// Characters of a value that is saved. A longer one fails the call; a URL has 2,048 at most anywhere.
pub const VALUE_CHARS: usize = 4_096;

/// Characters of an entity tag, which becomes a header field. A longer one fails the call.
pub const ENTITY_TAG_CHARS: usize = 1_000;

/// Names of one kind in a plugin's description: the longest known has 32 harmless fields of answers.
pub const DESCRIBED_NAMES: usize = 100;

/// Secrets that are sent to one server.
pub const SECRET_HEADERS: usize = 8;

/// Items of a catalog that a plugin names as left out.
pub const SKIPPED: usize = 10_000;

/// Fields of a form. A person fills them in: the longest known has nine.
pub const FIELDS: usize = 64;

/// Choices of a field: every certificate that is installed may be one.
pub const CHOICES: usize = 10_000;

/// Problems of a field.
pub const PROBLEMS: usize = 100;

/// Authorities that a form asks for. The vendors known have three at most; the host saves 16 at most.
pub const AUTHORITIES: usize = 100;

/// Steps of a check of the connection. The longest known has six.
pub const STEPS: usize = 100;

/// Product types of a vendor. Those known have one or two.
pub const PRODUCT_TYPES: usize = 100;

/// The longest access token. Those known are below 4 KiB.
pub const ACCESS_TOKEN_BYTES: usize = 64 * 1024;

/// The longest name of an access token. A plugin puts in it what the access token depends on: the longest known has two URLs
/// and a few ids, which may take 2 KiB.
pub const ACCESS_TOKEN_NAME_BYTES: usize = 4 * 1024;

/// Names of access tokens that one call may ask for or put: as many as are kept. A vendor has one or two, and a call
/// holds what other calls wait for under each.
pub const ACCESS_TOKEN_NAMES: usize = ACCESS_TOKENS;

/// Spans that one call may write into the traces, beside its log lines: a catalog of 100,000 offers takes about so many, a purchase twenty. With
/// the longest texts they are a sixth of all that is kept, so a call can't push out the traces of the others.
pub const SPANS: u32 = 5_000;

/// Characters of a text in a span. The path of a request, the longest of them, has about 150.
pub const SPAN_TEXT_CHARS: usize = 300;

/// Access tokens kept for one instance.
pub const ACCESS_TOKENS: usize = 16;

/// The longest body that a guest may send. An order is below two kilobytes.
pub const REQUEST_BODY_BYTES: usize = 1024 * 1024;

/// The longest body that is read from a vendor in one exchange.
pub const RESPONSE_BODY_BYTES: u64 = 16 * 1024 * 1024;

/// The longest request target. Servers commonly refuse more than 8 KiB.
pub const REQUEST_TARGET_BYTES: usize = 8 * 1024;

/// Header fields of a request or an answer, in the host's memory.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Time to find an authority's addresses. glibc asks a silent name server for 5 s, a second one for 5 s or, where there
/// are three, for 3 s (`res_send.c`): the last of three is heard within 12 s.
pub const RESOLVE: Duration = Duration::from_secs(12);

/// Time to connect to one address. A name's addresses are raced, so the time for all of them is less than a second longer.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Time for a proxy to open a tunnel: it resolves the server's name and connects to it.
pub const TUNNEL: Duration = Duration::from_secs(15);

/// Time for the TLS handshake, for which wasmtime's own transport sets no limit at all.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Time from the request to the head of its answer.
pub const FIRST_BYTE: Duration = Duration::from_secs(60);

/// Time between two pieces of an answer's body.
pub const BETWEEN_BYTES: Duration = Duration::from_secs(30);

/// The shortest time that a guest can make any of these time limits: a timer of zero must do no harm.
pub const SHORTEST: Duration = Duration::from_millis(1);

/// How long an idle connection is kept. Servers close theirs after about four minutes.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// How long a connection that is no longer used may take to end; a server that stops reading can't keep it open.
pub const CLOSE: Duration = Duration::from_secs(5);

/// How long a request waits for a connection whose last answer has been read to its end but which is not free yet;
/// that takes microseconds, unless the server stops in the middle of reading a request that it has answered.
pub const SETTLE: Duration = Duration::from_millis(20);

/// Connections of one instance, and its exchanges at once. Measured over loopback with servers that answer at once and
/// after 20 ms: over HTTP/1.1 so many requests at once open as many connections (1, 8, 32 and 64 of 3,000 requests),
/// over HTTP/2 one. A worker has 8 lines under way unless told otherwise; this is eight times that.
pub const CONNECTIONS_PER_INSTANCE: usize = 64;

/// Connections of all instances, and their exchanges at once: half of the 1,024 files that a process may commonly
/// have open, so that the record, the mail and the plugins have the other half.
pub const CONNECTIONS: usize = 512;

/// Exchanges at once on one HTTP/2 connection, where the server allows as many: all that an instance may have. With
/// 8 streams on a connection, 64 at once took 8 connections and were not faster.
pub const STREAMS_PER_CONNECTION: usize = CONNECTIONS_PER_INSTANCE;

/// Bytes that a server may send on one HTTP/2 stream before they are read: a page of the catalog in a few round trips.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes that a server may send on all streams of a connection before they are read. The limit bounds what all
/// connections can hold to half a gigabyte.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How often one request is sent, where the server says each time that it has not looked at it. A server that closes
/// its connections after a number of requests says so once; one that goes on is better left to the platform's own
/// pauses.
pub const TRIES_PER_REQUEST: usize = 3;

/// TLS sessions that can be resumed, for one instance and certificate: rustls keeps eight for a server, and an instance
/// has one or two servers. The default of rustls sets aside room for 32, which was much of what an idle instance held.
pub const TLS_SESSIONS: usize = 16;

/// The time limits of a call that an embedder of the host may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Wall-clock time of a call, to its answer. It may wait for a sandbox for half of that.
    pub wall_clock: Duration,
    /// Wall-clock time of a call that reads a whole catalog.
    pub catalog_wall_clock: Duration,
    /// Time on the processor.
    pub processor: Duration,
}

impl Default for CallLimits {
    /// [`CALL`], [`CATALOG_CALL`] and [`PROCESSOR`].
    fn default() -> Self {
        Self {
            wall_clock: CALL,
            catalog_wall_clock: CATALOG_CALL,
            processor: PROCESSOR,
        }
    }
}
