/* SPDX-License-Identifier: MIT
 *
 * A forwarder for fuzz/conform/blackbox: it carries every packet from the TUN of TUN_FROM to
 * that of TUN_TO. DPDK's librte_gso cuts the superpackets, and librte_gro joins the packets
 * (TCP over IPv4). Both leave checksums to their caller, so this program completes and
 * verifies them. It gives librte_gro only whole packets whose checksums are right.
 *
 *	cc -O2 forward.c $(pkg-config --cflags --libs libdpdk) -o forward
 *
 * What librte_gro joined is written with a gso_size of the first packet's payload.
 */
#define ALLOW_EXPERIMENTAL_API
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gro.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

enum { ETHER = 14, BATCH = 64, SEGMENTS = 8192, LONGEST = 65535, FIRST = 65000 };

static struct rte_mempool *pool, *direct, *indirect;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static int open_tun(const char *variable)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	const char *name = getenv(variable);
	int header = sizeof(struct virtio_net_hdr);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (!name || fd < 0)
		die(variable);
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN))
		die(name);
	return fd;
}

/* headers sets the lengths of the headers of m, if it is a whole TCP or UDP packet over IPv4. */
static int headers(struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHER);
	unsigned n = rte_pktmbuf_pkt_len(m) - ETHER, l3, l4;

	m->l2_len = ETHER;
	if (n < 20 || p[0] >> 4 != 4 || (l3 = 4 * (p[0] & 15)) < 20 || n < l3 + 8 || (p[2] << 8 | p[3]) != (int)n || (p[6] & 0x3f) || p[7])
		return 0;
	m->l3_len = l3;
	if (p[9] == IPPROTO_TCP) {
		if (n < l3 + 20 || (l4 = 4 * (p[l3 + 12] >> 4)) < 20 || n < l3 + l4)
			return 0;
	} else if (p[9] == IPPROTO_UDP) {
		l4 = 8;
	} else {
		return 0;
	}
	m->l4_len = l4;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | (p[9] == IPPROTO_TCP ? RTE_PTYPE_L4_TCP : RTE_PTYPE_L4_UDP);
	return p[9];
}

/* right reports whether the checksums of m are right. headers has set its lengths. */
static int right(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETHER);

	return rte_raw_cksum(ip, m->l3_len) == 0xffff && rte_ipv4_udptcp_cksum_verify(ip, (char *)ip + m->l3_len) == 0;
}

/* complete sets the checksums of a segment, which may have several mbufs. */
static void complete(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETHER);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)((char *)ip + m->l3_len);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, m->l3_len);
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum_mbuf(m, ip, ETHER + m->l3_len);
}

static void put(int fd, struct virtio_net_hdr *h, struct rte_mbuf *m)
{
	struct iovec v[2 + BATCH] = {{h, sizeof *h}};
	int n = 1, skip = ETHER;
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETHER);

	if (h->gso_type && (ip[6] & 0x3f || ip[7]))
		abort(); /* a fragment with a GSO type crashes some kernels */
	for (struct rte_mbuf *s = m; s && n < 2 + BATCH; s = s->next, skip = 0)
		v[n++] = (struct iovec){rte_pktmbuf_mtod_offset(s, char *, skip), rte_pktmbuf_data_len(s) - skip};
	while (writev(fd, v, n) < 0 && errno == EAGAIN)
		poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 10);
}

/* made returns a packet after an Ethernet header, in two mbufs if one cannot hold it. */
static struct rte_mbuf *made(const uint8_t *packet, unsigned n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *rest;
	unsigned first = RTE_MIN(n, (unsigned)FIRST);

	if (!m)
		die("mbuf");
	memset(rte_pktmbuf_append(m, ETHER), 0, ETHER);
	rte_pktmbuf_mtod(m, uint8_t *)[12] = 8;
	memcpy(rte_pktmbuf_append(m, first), packet, first);
	if (first < n) {
		if (!(rest = rte_pktmbuf_alloc(pool)))
			die("mbuf");
		memcpy(rte_pktmbuf_append(rest, n - first), packet + first, n - first);
		rte_pktmbuf_chain(m, rest);
	}
	return m;
}

/* take reads one packet or superpacket, and appends to out what it stands for. */
static int take(int fd, struct rte_mbuf **out)
{
	static uint8_t buf[sizeof(struct virtio_net_hdr) + LONGEST];
	struct virtio_net_hdr *h = (void *)buf;
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < (ssize_t)sizeof *h) {
		if (n < 0 && errno != EAGAIN)
			exit(0); /* the TUN is gone */
		return 0;
	}
	uint8_t *p = buf + sizeof *h;
	n -= sizeof *h;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && h->csum_start + h->csum_offset + 2 <= n) {
			uint16_t sum = ~rte_raw_cksum(p + h->csum_start, n - h->csum_start);
			if (sum == 0 && h->csum_offset == 6)
				sum = 0xffff;
			memcpy(p + h->csum_start + h->csum_offset, &sum, 2);
		}
		out[0] = made(p, n);
		return 1;
	}
	struct rte_mbuf *m = made(p, n);
	if (headers(m) != IPPROTO_TCP)
		return rte_pktmbuf_free(m), 0;
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
	struct rte_gso_ctx ctx = {direct, indirect, 0, RTE_ETH_TX_OFFLOAD_TCP_TSO, ETHER + m->l3_len + m->l4_len + h->gso_size};
	unsigned l3 = m->l3_len, l4 = m->l4_len;
	static struct rte_mbuf *segments[SEGMENTS];
	int k = rte_gso_segment(m, &ctx, segments, SEGMENTS);
	if (k < 0) {
		fprintf(stderr, "rte_gso_segment: %s\n", strerror(-k));
		return rte_pktmbuf_free(m), 0;
	}
	if (k == 0) {
		complete(m);
		out[0] = m;
		return 1;
	}
	for (int i = 0; i < k; i++) { /* a VPN copies them when it encrypts */
		struct rte_mbuf *s = segments[i];
		static uint8_t flat[LONGEST + ETHER];
		s->l2_len = ETHER, s->l3_len = l3, s->l4_len = l4;
		complete(s);
		unsigned len = rte_pktmbuf_pkt_len(s);
		const uint8_t *b = rte_pktmbuf_read(s, 0, len, flat);
		out[i] = made(b + ETHER, len - ETHER);
		rte_pktmbuf_free(s);
	}
	rte_pktmbuf_free(m);
	return k;
}

/* join joins the packets of a batch, and writes the result. */
static void join(int fd, struct rte_mbuf **batch, unsigned n)
{
	struct rte_gro_param param = {RTE_GRO_TCP_IPV4, BATCH, BATCH, 0};

	for (unsigned i = 0; i < n; i++)
		if (!headers(batch[i]) || !right(batch[i]))
			batch[i]->packet_type = RTE_PTYPE_UNKNOWN;
	n = rte_gro_reassemble_burst(batch, n, &param);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = batch[i];
		struct virtio_net_hdr h = {0};
		if (m->nb_segs > 1) {
			struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETHER);
			struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)((char *)ip + m->l3_len);
			h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			h.hdr_len = m->l3_len + m->l4_len;
			h.gso_size = rte_pktmbuf_data_len(m) - ETHER - h.hdr_len;
			h.csum_start = m->l3_len;
			h.csum_offset = 16;
			ip->hdr_checksum = 0;
			ip->hdr_checksum = ~rte_raw_cksum(ip, m->l3_len);
			tcp->cksum = rte_ipv4_phdr_cksum(ip, 0);
		}
		put(fd, &h, m);
		rte_pktmbuf_free(m);
	}
}

int main(int argc, char **argv)
{
	char *eal[] = {argv[0], "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "2048", "-l", "0", "--log-level=3"};
	int from, to;
	static struct rte_mbuf *all[SEGMENTS * 2];

	if (rte_eal_init(RTE_DIM(eal), eal) < 0)
		die("rte_eal_init");
	pool = rte_pktmbuf_pool_create("packets", 20000, 0, 0, 65535, SOCKET_ID_ANY);
	direct = rte_pktmbuf_pool_create("direct", 16383, 0, 0, RTE_PKTMBUF_HEADROOM + 256, SOCKET_ID_ANY);
	indirect = rte_pktmbuf_pool_create("indirect", 16383, 0, 0, 0, SOCKET_ID_ANY);
	if (!pool || !direct || !indirect)
		die("mempool");
	from = open_tun("TUN_FROM");
	to = open_tun("TUN_TO");
	for (;;) {
		unsigned n = 0, k;
		poll(&(struct pollfd){from, POLLIN, 0}, 1, -1);
		while (n < SEGMENTS && (k = take(from, all + n)))
			n += k;
		for (unsigned i = 0; i < n; i += BATCH)
			join(to, all + i, RTE_MIN(n - i, (unsigned)BATCH));
	}
	(void)argc;
}
