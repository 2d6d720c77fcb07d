"""For instructors and graders: what is never in the students' copy."""
