"""Quorum on both implementations: scripted scenarios, corosync-qdevice and corosync-qnetd, pcs and crmsh."""
