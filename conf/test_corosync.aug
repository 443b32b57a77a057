module Test_corosync =

let conf = "# a comment
totem {
  version: 2
  cluster_name: with blanks

  interface {
    linknumber: 0
  }
}
nodelist {
	node {
		nodeid: 1
		ring0_addr: fd00::1
	}
}
"

test Corosync.lns get conf =
  { "#comment" = "a comment" }
  { "totem"
    { "version" = "2" }
    { "cluster_name" = "with blanks" }
    { }
    { "interface"
      { "linknumber" = "0" } } }
  { "nodelist"
    { "node"
      { "nodeid" = "1" }
      { "ring0_addr" = "fd00::1" } } }

test Corosync.lns put conf after
  set "/totem/version" "3"; set "/totem/interface/mcastport" "5405" =
"# a comment
totem {
  version: 3
  cluster_name: with blanks

  interface {
    linknumber: 0
mcastport: 5405
  }
}
nodelist {
	node {
		nodeid: 1
		ring0_addr: fd00::1
	}
}
"

test Corosync.lns get "totem { version: 2 }" = *
