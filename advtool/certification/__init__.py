"""Bounds of a model's outputs over a whole ball: they prove that an image has no adversarial example."""

from advtool.certification.certifier import Certificate, Certifier, NotCertifiable

__all__ = ["Certificate", "Certifier", "NotCertifiable"]
