"""Container images of the whole code base, built by an engine on this machine or by Cloud Build.

``request`` says what is to be built, ``building`` how a build goes, ``engines`` the command lines of docker, podman and
buildah, ``process`` runs them. ``cloud_build`` is the way through Google's service.
"""
