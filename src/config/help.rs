//! What `--help` prints. A test of `options::table` compares it with the options that there are.

/// The text, at most 80 columns wide. A line with an option has its letter in column 4, its name in
/// column 9 and two blanks at least before the explanation.
pub(super) const HELP: &str = "\
Usage: anklet [OPTION]...
The smallest complete SOCKS5 proxy, for routers.

NET is an address, a prefix (10.0.0.0/8) or the name of an interface, which
stands for the prefixes on it. DEST is NET[:PORT[-PORT]]. IPv6 goes into
brackets where a port follows. Lists are separated by commas; options with a
list can be repeated. Defaults in parentheses.

Listening
  -p, --port PORT               port of the listeners without one; 0: a free one
                                (1080)
  -i, --listen ADDR[:PORT],..   addresses or interfaces, which are followed
                                (0.0.0.0 and ::)
      --retry-listen            start with what can be listened on by now; the
                                rest follows
      --reuseport               let several processes listen on one port

Protocols on the port, beside SOCKS5 CONNECT
      --no-udp                  no UDP ASSOCIATE
      --no-bind                 no BIND
      --no-socks4               no SOCKS4 and SOCKS4A
      --no-http                 no HTTP proxy
      --status                  GET /status, for this machine alone: the state
                                of the proxy, as JSON

Who may connect (without a password: the local networks, nobody else)
  -u, --user NAME               one credential, together with --password
  -P, --password PASS           its password; removed from the list of processes
      --users FILE              more of them, one NAME:PASS per line; read again
                                on SIGHUP
  -w, --trust NET,..            clients that need no password
  -1, --auth-once               an address that has authenticated needs no
                                password again until idle for an hour
      --clients NET,..          the only clients that are served
      --ban N                   keep a client out for ten minutes after N wrong
                                passwords

Where to (everybody: the Internet and the client's own subnet)
      --permit DEST,..          further destinations
      --block DEST,..           destinations that are refused; of both the
                                longest prefix decides, then the narrower ports,
                                then --permit

Outgoing
  -b, --bind ADDR,..            source address, one per family, or an interface
                                (a family without an address is then not used)
      --mark MARK               firewall mark, decimal or 0x hexadecimal
  -4, --ipv4                    use IPv4 only
  -6, --ipv6                    use IPv6 only
      --prefer 4|6              family that is tried first (6)
      --dns ADDR[:PORT],..      name servers, 3 at most (those of
                                /etc/resolv.conf)

UDP ASSOCIATE and BIND
      --relay-ports A-B         ports of UDP relays and BIND listeners (any)
      --public ADDR,..          address to announce behind NAT, one per family
                                (the local one)
      --udp-strict              only remotes that the client has sent to may
                                answer

Timeouts, in seconds
      --handshake-timeout N     whole handshake (10)
      --connect-timeout N       name lookup and connect together (15)
      --idle-timeout N          tunnel without a byte (7440)
      --half-close-timeout N    the same after one side has ended (60)
      --udp-timeout N           UDP association without a datagram (120)
      --bind-timeout N          BIND until a peer connects (120)
      --peer-timeout N          peer that acknowledges nothing (the kernel's,
                                some 900)

Limits (as many as descriptors and memory allow; --check prints them)
      --max-sessions N          sessions at once
      --max-per-client N        sessions at once of one IPv4 address or IPv6 /64
                                (no limit)
      --buffers N               buffers of all sessions together
      --buffer-size BYTES       size of one (8192)
      --no-splice               copy what is much too, instead of splicing it
                                through pipes

Other
  -q, --quiet                   sessions: log only what was refused or not found
  -v, --verbose                 log more; twice: every line, also those that
                                repeat themselves
      --syslog SOCKET           log to the system's log, each line with its
                                level
      --check                   print the effective policy and end
  -h, --help                    print this and end
  -V, --version                 print the version and end
";
