// SPDX-License-Identifier: MIT

package tunlive

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Environment variables that a process sets for the processes it starts.
const (
	envOutside = "TUNLIVE_OUTSIDE" // inode of the network namespace that must not be touched
	envReady   = "TUNLIVE_READY"   // inode of the namespace that is set up
	envSysfs   = "TUNLIVE_SYSFS"   // set if /sys belongs to the inner namespace
	envUser    = "TUNLIVE_USER"    // user ID to become first (root only)
	envDevice  = "TUNLIVE_DEVICE"  // device node to open instead of /dev/net/tun
)

// Enter puts the program into network and mount namespaces of its own, and, unless it
// runs as root, into a user namespace. The first call starts the program again inside
// these, with the same arguments, waits, and exits with its code. Inside, and in
// processes started from there such as fuzz workers, it returns nil. The error is a
// *Missing.
//
// Root may set TUNLIVE_USER to a user ID, to run as that user.
func Enter() error {
	inode, err := namespace()
	if err != nil {
		return &Missing{"/proc", "mount it", err}
	}
	outside := os.Getenv(envOutside)
	if outside == "" || outside == inode {
		code, err := again(inode)
		if err != nil {
			return err
		}
		os.Exit(code)
	}
	if os.Getenv(envReady) == inode {
		return nil
	}
	if links, err := net.Interfaces(); err != nil || len(links) > 1 || len(links) == 1 && links[0].Flags&net.FlagUp != 0 {
		return fmt.Errorf("%s is set, but this network namespace is not new; unset it", envOutside)
	}
	if err := setUpNamespaces(); err != nil {
		return &Missing{"full rights in namespaces of its own", howNamespaces, err}
	}
	return os.Setenv(envReady, inode)
}

const howNamespaces = "run it as root, or allow user namespaces: sysctl user.max_user_namespaces, " +
	"kernel.apparmor_restrict_unprivileged_userns=0; in a container, CAP_SYS_ADMIN"

// namespace identifies the network namespace of this thread.
func namespace() (string, error) {
	var st unix.Stat_t
	err := unix.Stat("/proc/thread-self/ns/net", &st)
	return strconv.FormatUint(st.Ino, 10), err
}

// again runs the program once more, one step further in: as another user, or in new
// namespaces.
func again(inode string) (code int, err error) {
	c := exec.Command("/proc/self/exe")
	c.Args = slices.DeleteFunc(slices.Clone(os.Args), func(a string) bool {
		return strings.HasPrefix(a, "-test.testlogfile=") // another user cannot write it
	})
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = os.Environ()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	user, uid := os.Getenv(envUser), os.Getuid()
	switch {
	case uid == 0 && user != "":
		id, err := strconv.ParseUint(user, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%s=%s: want a user ID", envUser, user)
		}
		node, err := ownNode(int(id))
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(filepath.Dir(node))
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}
		c.Env = append(c.Env, envUser+"=", envDevice+"="+node)
	case uid == 0:
		c.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS
		c.Env = append(c.Env, envOutside+"="+inode)
	default:
		c.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		c.Env = append(c.Env, envOutside+"="+inode)
	}
	if code, err = wait(c); err != nil {
		return 0, &Missing{"namespaces of its own", howNamespaces, err}
	}
	return code, nil
}

// wait runs a command to its end and passes signals on to it. The calling thread must
// live as long, because the parent-death signal belongs to the thread.
func wait(c *exec.Cmd) (code int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				_ = c.Process.Signal(s) // it may already have ended
			case <-done:
				return
			}
		}
	}()
	err = c.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if code := exit.ExitCode(); code >= 0 {
			return code, nil
		}
		fmt.Fprintln(os.Stderr, err)
		return 2, nil // ended by a signal
	}
	return 0, err
}

// ownNode makes a node of the TUN device for one user, in a directory that belongs to
// that user.
func ownNode(uid int) (string, error) {
	dir, err := os.MkdirTemp("", "tunlive-")
	if err != nil {
		return "", err
	}
	node := filepath.Join(dir, "tun")
	err = errors.Join(unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))), os.Chown(node, uid, uid), os.Chown(dir, uid, uid))
	if err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("a node for the TUN device: %w", err)
	}
	return node, nil
}

// setUpNamespaces sets up new namespaces. It disables IPv6 on every device made
// later: that silences neighbour discovery, but affects neither redirects nor GRO.
// Where /sys can be mounted, it becomes this namespace's.
func setUpNamespaces() error {
	if err := setSysctl("net/ipv6/conf/default/disable_ipv6", "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") != nil {
		return nil // /sys is still the host's: NewToggle will report it
	}
	return os.Setenv(envSysfs, "1")
}

// setSysctl sets a network setting of this thread's namespace.
func setSysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
}

// namespaceThread is a network namespace within the process: a goroutine on a thread
// of its own. Descriptors made there stay in that namespace and can be used anywhere.
type namespaceThread struct {
	calls chan func()
}

// newNamespace makes a namespace. Close ends its thread.
func newNamespace() (*namespaceThread, error) {
	n := &namespaceThread{make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		n.Close()
		return nil, fmt.Errorf("unshare: %w", err)
	}
	return n, nil
}

// do runs f in the namespace.
func (n *namespaceThread) do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

func (n *namespaceThread) Close() { close(n.calls) }
