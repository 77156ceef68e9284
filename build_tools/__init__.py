"""What makes the series and no lesson imports: runs and publishing, exercises, marking, slides, a moved folder."""
