"""criu's requests and answers (its images/rpc.proto): the fields that pyoci uses, with their numbers."""

from pyoci.criu.wire import BOOL, INT, TEXT

# Types of requests; a notification comes as an answer and is answered by a request.
DUMP = 1
RESTORE = 2
PRE_DUMP = 4
NOTIFY = 6
FEATURE_CHECK = 9
VERSION = 10
TYPE_NAMES = {
    DUMP: "DUMP",
    RESTORE: "RESTORE",
    PRE_DUMP: "PRE_DUMP",
    NOTIFY: "NOTIFY",
    FEATURE_CHECK: "FEATURE_CHECK",
    VERSION: "VERSION",
}

CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}

_PAGE_SERVER = {"address": (1, TEXT), "port": (2, INT)}
_MOUNT = {"key": (1, TEXT), "val": (2, TEXT)}
_CGROUP_ROOT = {"ctrl": (1, TEXT), "path": (2, TEXT)}
_DESCRIPTOR = {"key": (1, TEXT), "fd": (2, INT)}
_NAMESPACE = {"ns": (1, TEXT), "ns_file": (2, TEXT)}

OPTIONS = {
    "images_dir_fd": (1, INT),
    "pid": (2, INT),
    "leave_running": (3, BOOL),
    "ext_unix_sk": (4, BOOL),
    "tcp_established": (5, BOOL),
    "evasive_devices": (6, BOOL),
    "shell_job": (7, BOOL),
    "file_locks": (8, BOOL),
    "log_level": (9, INT),
    "log_file": (10, TEXT),
    "ps": (11, _PAGE_SERVER),
    "notify_scripts": (12, BOOL),
    "root": (13, TEXT),
    "parent_img": (14, TEXT),
    "track_mem": (15, BOOL),
    "auto_dedup": (16, BOOL),
    "work_dir_fd": (17, INT),
    "link_remap": (18, BOOL),
    "ext_mnt": (23, _MOUNT),
    "manage_cgroups": (24, BOOL),
    "cg_root": (25, _CGROUP_ROOT),
    "rst_sibling": (26, BOOL),
    "inherit_fd": (27, _DESCRIPTOR),
    "manage_cgroups_mode": (34, INT),
    "external": (37, TEXT),
    "empty_ns": (38, INT),
    "join_ns": (39, _NAMESPACE),
    "freeze_cgroup": (44, TEXT),
    "tcp_skip_in_flight": (46, BOOL),
    "lazy_pages": (48, BOOL),
    "orphan_pts_master": (50, BOOL),
    "config_file": (51, TEXT),
    "tcp_close": (52, BOOL),
    "lsm_profile": (53, TEXT),
    "lsm_mount_context": (63, TEXT),
    "network_lock": (64, INT),
}

_FEATURES = {"mem_track": (1, BOOL), "lazy_pages": (2, BOOL)}
_VERSION = {"major_number": (1, INT), "minor_number": (2, INT), "sublevel": (4, INT)}

REQUEST = {
    "type": (1, INT),
    "opts": (2, OPTIONS),
    "notify_success": (3, BOOL),
    "features": (5, _FEATURES),
}

ANSWER = {
    "type": (1, INT),
    "success": (2, BOOL),
    "restore": (4, {"pid": (1, INT)}),
    "notify": (5, {"script": (1, TEXT), "pid": (2, INT)}),
    "cr_errno": (7, INT),
    "features": (8, _FEATURES),
    "cr_errmsg": (9, TEXT),
    "version": (10, _VERSION),
}
