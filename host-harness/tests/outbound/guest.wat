;; A plugin that sends one request by the raw imports of wasi:http, whatever a well-behaved library would refuse to
;; say, and reports what came of it: the code of the error (its place in wasi:http's list), 100 for an answer, 2xx for
;; the step before at which the host said no. Where values are in memory, a test writes them: see `guest.rs`.
(module
  (type $none (func (result i32)))
  (import "wasi:http/types@0.2.2" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.2" "[method]fields.append"
    (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.2" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-method"
    (func $set-method (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-path-with-query"
    (func $set-path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-scheme"
    (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-authority"
    (func $set-authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-request.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.2" "[method]outgoing-body.write" (func $stream (param i32 i32)))
  (import "wasi:http/types@0.2.2" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.2" "[constructor]request-options" (func $options (result i32)))
  (import "wasi:http/types@0.2.2" "[method]request-options.set-connect-timeout"
    (func $set-connect (param i32 i32 i64) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]request-options.set-first-byte-timeout"
    (func $set-first-byte (param i32 i32 i64) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]request-options.set-between-bytes-timeout"
    (func $set-between (param i32 i32 i64) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]future-incoming-response.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.2" "[method]future-incoming-response.get" (func $get (param i32 i32)))
  (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.2" "[resource-drop]output-stream" (func $drop-stream (param i32)))
  (import "wasi:http/outgoing-handler@0.2.2" "handle" (func $handle (param i32 i32 i32 i32)))
  (import "bss:service-manager/progress@0.1.0" "report" (func $report (param i64 i32 i64 i32 i32)))
  (memory (export "memory") 8)
  {data}
  (func $exchange (result i64)
    (local $fields i32) (local $request i32) (local $body i32) (local $stream i32)
    (local $future i32) (local $pollable i32) (local $options i32) (local $left i32)
    (local.set $fields (call $fields))
    {headers}
    (local.set $request (call $request (local.get $fields)))
    (if (call $set-method (local.get $request) {method}) (then (return (i64.const 201))))
    (if (call $set-path (local.get $request) (i32.const 1) (i32.const {path_at}) (i32.const {path_length}))
      (then (return (i64.const 202))))
    (if (call $set-scheme (local.get $request) (i32.const 1) (i32.const {scheme}) (i32.const 0) (i32.const 0))
      (then (return (i64.const 203))))
    (if (call $set-authority (local.get $request) (i32.const 1) (i32.const {authority_at}) (i32.const {authority_length}))
      (then (return (i64.const 204))))
    (local.set $options (call $options))
    {options}
    (call $body (local.get $request) (i32.const 512))
    (local.set $body (i32.load (i32.const 516)))
    (call $stream (local.get $body) (i32.const 512))
    (local.set $stream (i32.load (i32.const 516)))
    (call $handle (local.get $request) (i32.const 1) (local.get $options) (i32.const 512))
    (if (i32.load8_u (i32.const 512)) (then (return (i64.extend_i32_u (i32.load8_u (i32.const 520))))))
    (local.set $future (i32.load (i32.const 520)))
    (local.set $left (i32.const {writes}))
    (block $written
      (loop $again
        (br_if $written (i32.eqz (local.get $left)))
        (call $write (local.get $stream) (i32.const 65536) (i32.const {write_length}) (i32.const 512))
        (br_if $written (i32.load8_u (i32.const 512)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $again)))
    ;; How much of it the host did not take.
    (i32.store (i32.const 600) (local.get $left))
    (call $drop-stream (local.get $stream))
    (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 512))
    (local.set $pollable (call $subscribe (local.get $future)))
    (call $block (local.get $pollable))
    (call $get (local.get $future) (i32.const 512))
    (if (i32.load8_u (i32.const 528)) (then (return (i64.extend_i32_u (i32.load8_u (i32.const 536))))))
    (i64.const 100))
  (func (export "bss:service-manager/service-manager@0.1.0#describe") (result i32) (unreachable))
    (func (export "bss:service-manager/service-manager@0.1.0#configure-instance")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $outcome i64)
    (local.set $outcome (call $exchange))
    (call $report (local.get $outcome) (i32.const 1) (i64.extend_i32_u (i32.load (i32.const 600)))
      (i32.const 0) (i32.const 0))
    ;; An empty form: all zeros.
    (i32.const 262144))
  (func (export "bss:service-manager/service-manager@0.1.0#fetch-services")
    (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable))
  (func (export "bss:service-manager/service-manager@0.1.0#create-license") (param i32) (result i32) (unreachable))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 300000)))
