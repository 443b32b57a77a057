(* corosync.conf(5) for augeas: options and sections as they nest, comments, blank lines.

   /files/etc/corosync/corosync.conf/totem/version = "2"
   /files/etc/corosync/corosync.conf/nodelist/node[1]/ring0_addr = "192.0.2.1"

   Any name is taken: the daemon keeps names that it does not know, too. *)
module Corosync =
autoload xfm

let comment = Util.comment
let empty   = Util.empty
let indent  = Util.indent
let eol     = Util.eol
let name    = /[A-Za-z0-9_.-]+/
let value   = /[^ \t\n{}][^\n{}]*[^ \t\n{}]|[^ \t\n{}]/

let option = [ indent . key name . del /[ \t]*:[ \t]*/ ": " . store value . eol ]

let open  = del /[ \t]*\{[ \t]*\n/ " {\n"
let close = del /[ \t]*\}[ \t]*\n/ "}\n"

(* Sections nest to any depth. *)
let rec section = [ indent . key name . open . ( option | comment | empty | section )* . close ]

let lns = ( comment | empty | section )*

let filter = incl "/etc/corosync/corosync.conf"
           . incl "/etc/corosync/uidgid.d/*"
           . Util.stdexcl

let xfm = transform lns filter
